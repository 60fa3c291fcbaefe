"""A device on the generated client: enrols, polls, installs what it is told to, and says how it went.

    pip install openapi-python-client "pyjwt[crypto]"
    openapi-python-client generate --path docs/openapi.json --output-path kernex-client
    pip install ./kernex-client
    python docs/examples/device.py http://127.0.0.1:8080 ./my-device

It ends when it is refused or the server is away. Whatever supervises it may start it again at any time: what it
is and what it runs is in its directory.
"""

import hashlib
import sys
import time
import uuid
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kernex_client import AuthenticatedClient, Client
from kernex_client.api.device import download_bundle_as_device, heartbeat, issue_device_token, report
from kernex_client.api.devices import enrol_device
from kernex_client.models import Command, DeviceStatus, DeviceTokenRequest, EnrolmentRequest, Heartbeat, Problem
from kernex_client.models import DeviceTokenRequestGrantType, Report, ReportedError, ReportState


def granted(answer):
    if isinstance(answer, Problem):
        sys.exit(f"{answer.status} {answer.code}: {answer.detail}")
    return answer


def replace(file: Path, content: bytes) -> None:
    """In one step, so that a crash leaves the old content or the new; the key is for nobody else to read."""
    new = file.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_bytes(content)
    new.replace(file)


def load_key(file: Path) -> Ed25519PrivateKey:
    if not file.exists():
        key = Ed25519PrivateKey.generate()
        replace(file, key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()))
    return pem.load_pem_private_key(file.read_bytes(), password=None)


def log_in(server: Client, device_id: str, key: Ed25519PrivateKey):
    # The audience is the server's name (its setting `server.name`); an assertion works once, within five minutes.
    expiry = int(time.time()) + 60
    claims = {"iss": device_id, "sub": device_id, "aud": "kernex", "jti": uuid.uuid4().hex, "exp": expiry}
    assertion = jwt.encode(claims, key, algorithm="EdDSA")
    grant = DeviceTokenRequestGrantType("urn:ietf:params:oauth:grant-type:jwt-bearer")
    body = DeviceTokenRequest(grant, assertion)
    return granted(issue_device_token.sync(client=server, body=body))


def obey(client: AuthenticatedClient, command: Command, home: Path) -> None:
    def say(state: ReportState, **more) -> None:
        granted(report.sync(client=client, body=Report(command.assignment_id, command.attempt, state, **more)))

    if not command.bundle:
        return say(ReportState.REJECTED, error=ReportedError("unsupported", "this device takes no configs"))
    say(ReportState.DOWNLOADING)
    content = granted(download_bundle_as_device.sync(command.bundle.id, client=client)).payload.read()
    if hashlib.sha256(content).hexdigest() != command.bundle.sha256:
        return say(ReportState.FAILED, error=ReportedError("digest", "the content is not what was announced"))
    say(ReportState.INSTALLING)
    replace(home / "running.img", content)
    replace(home / "bundle_id", command.bundle.id.encode())
    say(ReportState.INSTALLED)


def main(url: str, home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    server, key, running = Client(url), load_key(home / "key.pem"), home / "bundle_id"
    public = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo).decode()
    # The same key is always the same device, so enrolling again is how to ask whether it was admitted.
    body = EnrolmentRequest(public)
    while (device := granted(enrol_device.sync(client=server, body=body))).status != DeviceStatus.ACTIVE:
        print(f"{device.id} is {device.status}: an operator has to admit it", flush=True)
        time.sleep(10)
    while True:
        token = log_in(server, device.id, key)
        client = AuthenticatedClient(url, token.access_token)
        renew_at = time.monotonic() + 0.8 * token.expires_in
        while time.monotonic() < renew_at:
            body = Heartbeat(bundle_id=running.read_text()) if running.exists() else Heartbeat()
            reply = granted(heartbeat.sync(client=client, body=body))
            for command in reply.commands:
                print(f"{device.id} is told to {command.kind}", flush=True)
                obey(client, command, home)
            # After a command the server wants to hear soon how the device is doing.
            time.sleep(1 if reply.commands else reply.next_poll_s)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
