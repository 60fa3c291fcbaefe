"""The least that a device does, on the generated client: enrols, gets a token, polls, downloads what it is told to,
checks it, and says how it went. It ends when it is refused, and with its token, after an hour: start it again then.

    openssl genpkey -algorithm ed25519 -out my-device/key.pem
    python docs/examples/bare_device.py http://127.0.0.1:8080 ./my-device

device.py says how the client is made, and does what is left out here.
"""

import hashlib
import sys
import time
import uuid
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from kernex_client import AuthenticatedClient, Client
from kernex_client.api.device import download_bundle_as_device, heartbeat, issue_device_token, report
from kernex_client.api.devices import enrol_device
from kernex_client.models import DeviceTokenRequest, DeviceTokenRequestGrantType, EnrolmentRequest, Heartbeat
from kernex_client.models import Report, ReportedError, ReportState

url, home = sys.argv[1], Path(sys.argv[2])
server, running = Client(url), home / "bundle_id"
key = load_pem_private_key((home / "key.pem").read_bytes(), password=None)
public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
device = enrol_device.sync(client=server, body=EnrolmentRequest(public))
claims = {"iss": device.id, "sub": device.id, "aud": "kernex", "jti": uuid.uuid4().hex, "exp": int(time.time()) + 60}
grant = DeviceTokenRequestGrantType("urn:ietf:params:oauth:grant-type:jwt-bearer")
body = DeviceTokenRequest(grant, jwt.encode(claims, key, algorithm="EdDSA"))
client = AuthenticatedClient(url, issue_device_token.sync(client=server, body=body).access_token)
while True:
    beat = Heartbeat(bundle_id=running.read_text()) if running.exists() else Heartbeat()
    reply = heartbeat.sync(client=client, body=beat)
    for command in reply.commands:
        answer = Report(command.assignment_id, command.attempt, ReportState.INSTALLED)
        content = download_bundle_as_device.sync(command.bundle.id, client=client).payload.read()
        if hashlib.sha256(content).hexdigest() == command.bundle.sha256:
            (home / "running.img").write_bytes(content)
            running.write_text(command.bundle.id)
        else:
            answer.state, answer.error = ReportState.FAILED, ReportedError("digest", "not what was announced")
        report.sync(client=client, body=answer)
    time.sleep(reply.next_poll_s)
