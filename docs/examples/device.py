"""A device on the generated client: enrols, polls, installs what it is told to, and says how it went.

    pip install openapi-python-client "pyjwt[crypto]"
    openapi-python-client generate --path docs/openapi.json --output-path kernex-client
    pip install ./kernex-client
    python docs/examples/device.py http://127.0.0.1:8080 ./my-device
"""

import hashlib
import sys
import time
import uuid
from pathlib import Path

import httpx
import jwt
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kernex_client import AuthenticatedClient, Client
from kernex_client.api.device import download_bundle_as_device, heartbeat, report
from kernex_client.api.devices import enrol_device, issue_device_token
from kernex_client.models import (
    Command,
    Device,
    DeviceStatus,
    DeviceTokenAnswer,
    DeviceTokenRequest,
    EnrolmentRequest,
    Heartbeat,
    Problem,
    Report,
    ReportedError,
    ReportState,
)

AUDIENCE = "kernex"  # The server's name: its setting `server.name`.
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Refused(Exception):
    """The server answered with a problem document."""


def granted(answer):
    if isinstance(answer, Problem):
        raise Refused(f"{answer.status} {answer.code}: {answer.detail}")
    return answer


def load_key(file: Path) -> Ed25519PrivateKey:
    if not file.exists():
        new = Ed25519PrivateKey.generate()
        file.touch(mode=0o600)  # Nobody else may ever read it, so it is closed before it is filled.
        file.write_bytes(new.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()))
    return pem.load_pem_private_key(file.read_bytes(), password=None)


def enrol(server: Client, key: Ed25519PrivateKey) -> Device:
    public = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    return granted(enrol_device.sync(client=server, body=EnrolmentRequest(public_key=public.decode())))


def log_in(server: Client, device_id: str, key: Ed25519PrivateKey) -> DeviceTokenAnswer:
    claims = {"iss": device_id, "sub": device_id, "aud": AUDIENCE, "jti": str(uuid.uuid4()), "exp": int(time.time()) + 120}
    assertion = jwt.encode(claims, key, algorithm="EdDSA")
    return granted(issue_device_token.sync(client=server, body=DeviceTokenRequest(JWT_BEARER, assertion)))


def obey(client: AuthenticatedClient, command: Command, folder: Path) -> None:
    def say(state: ReportState, **more) -> None:
        granted(report.sync(client=client, body=Report(command.assignment_id, command.attempt, state, **more)))

    if not command.bundle:
        return say(ReportState.REJECTED, error=ReportedError("unsupported", "this device takes no configs"))
    say(ReportState.DOWNLOADING)
    content = granted(download_bundle_as_device.sync(command.bundle.id, client=client)).payload.read()
    if hashlib.sha256(content).hexdigest() != command.bundle.sha256:
        return say(ReportState.FAILED, error=ReportedError("digest", "the content is not what was announced"))
    say(ReportState.INSTALLING)
    # What is running is replaced in one step, so that a power cut leaves the old one or the new one.
    (folder / "next.img").write_bytes(content)
    (folder / "next.img").rename(folder / "running.img")
    (folder / "bundle_id").write_text(command.bundle.id)
    say(ReportState.INSTALLED)


def live(url: str, folder: Path) -> None:
    """Until the token is about to expire."""
    server, key, running = Client(url), load_key(folder / "key.pem"), folder / "bundle_id"
    # The same key is always the same device, so enrolling again is how to ask whether it was admitted.
    while (device := enrol(server, key)).status != DeviceStatus.ACTIVE:
        print(f"{device.id} is {device.status}: an operator has to admit it", flush=True)
        time.sleep(10)
    token = log_in(server, device.id, key)
    client = AuthenticatedClient(url, token.access_token)
    renew_at = time.monotonic() + 0.8 * token.expires_in
    while time.monotonic() < renew_at:
        body = Heartbeat(bundle_id=running.read_text()) if running.exists() else Heartbeat()
        reply = granted(heartbeat.sync(client=client, body=body))
        for command in reply.commands:
            print(f"{device.id} is told to {command.kind}", flush=True)
            obey(client, command, folder)
        # After a command the server wants to hear at once how the device is doing.
        time.sleep(1 if reply.commands else reply.next_poll_s)


if __name__ == "__main__":
    url, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            live(url, folder)
        except (httpx.HTTPError, Refused) as error:
            # The server may be starting, or the device is blocked: it begins again, which does no harm.
            print(error, file=sys.stderr, flush=True)
            time.sleep(5)
