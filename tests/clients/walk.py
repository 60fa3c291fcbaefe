"""Walks the client that openapi-python-client generates through a device's life, against a running server.

    walk.py http://127.0.0.1:8080 <set-up token>
"""

import hashlib
import io
import os
import sys
import time
import uuid
from typing import TypeVar

import jwt
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kernex_client import AuthenticatedClient, Client
from kernex_client.api.auth import get_current_user, login, register_user
from kernex_client.api.bundles import get_bundle, upload_bundle
from kernex_client.api.deployments import create_deployment, get_deployment, list_assignments
from kernex_client.api.device import download_bundle_as_device, heartbeat, issue_device_token, report
from kernex_client.api.devices import enrol_device, get_device
from kernex_client.models import (
    AssignmentState,
    BundleStatus,
    CommandKind,
    DeploymentRequest,
    DeploymentState,
    DeviceStatus,
    DeviceTokenRequest,
    DeviceTokenRequestGrantType,
    EnrolmentRequest,
    Health,
    Heartbeat,
    Login,
    PlanRequest,
    Problem,
    Registration,
    Report,
    ReportState,
)
from kernex_client.types import File

USER, PASSWORD = "walker", "one step after another"
PATIENCE_S = 60

T = TypeVar("T")


def granted(answer: T | Problem | None) -> T:
    assert answer is not None and not isinstance(answer, Problem), answer
    return answer


def log_in(server: Client, setup_token: str) -> str:
    answer = login.sync(client=server, body=Login(USER, PASSWORD))
    # The first walk on a server finds no account and makes it; the later ones find theirs.
    if isinstance(answer, Problem):
        assert answer.status == 401, answer
        body = Registration(USER, f"{USER}@example.org", PASSWORD, setup_token=setup_token)
        assert granted(register_user.sync(client=server, body=body)).roles == ["admin"]
        answer = login.sync(client=server, body=Login(USER, PASSWORD))
    return granted(answer).access_token


def main(url: str, setup_token: str) -> None:
    walk = uuid.uuid4().hex
    server = Client(url)
    admin = AuthenticatedClient(url, log_in(server, setup_token))
    assert granted(get_current_user.sync(client=admin)).username == USER

    content = os.urandom(100_000)
    digest = hashlib.sha256(content).hexdigest()
    uploaded = upload_bundle.sync_detailed(
        client=admin, body=File(io.BytesIO(content)), name="walk", version=f"1.0.0+{walk}"
    )
    assert uploaded.status_code == 201, uploaded
    bundle = granted(uploaded.parsed)
    assert (bundle.version, bundle.size, bundle.sha256) == (f"1.0.0+{walk}", len(content), digest), bundle
    assert bundle.status == BundleStatus.AVAILABLE, bundle
    unknown = get_bundle.sync("bun_00000000000000000000000000", client=admin)
    assert isinstance(unknown, Problem) and unknown.status == 404, unknown

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo).decode()
    facts = {"walk": walk, "cores": 4, "load": 0.5, "tpm": True, "slots": ["a", "b"]}
    request = EnrolmentRequest.from_dict({"public_key": public, "facts": facts})
    enrolled = enrol_device.sync_detailed(client=server, body=request)
    assert enrolled.status_code == 201, enrolled
    device = granted(enrolled.parsed)
    assert device.status == DeviceStatus.ACTIVE, device
    assert device.facts.to_dict() == facts, device

    claims = {"iss": device.id, "sub": device.id, "aud": "kernex", "jti": walk, "exp": int(time.time()) + 60}
    grant = DeviceTokenRequestGrantType("urn:ietf:params:oauth:grant-type:jwt-bearer")
    proof = DeviceTokenRequest(grant, jwt.encode(claims, key, algorithm="EdDSA"))
    token = granted(issue_device_token.sync(client=server, body=proof))
    assert token.token_type == "Bearer" and token.expires_in > 0, token
    caller = AuthenticatedClient(url, token.access_token)
    idle = granted(heartbeat.sync(client=caller, body=Heartbeat()))
    assert idle.commands == [] and idle.next_poll_s > 0, idle

    plan = PlanRequest(max_in_flight=1, soak_s=0, canary=1)
    wanted = DeploymentRequest(f"walk {walk}", f"fact.walk={walk}", bundle_id=bundle.id, plan=plan)
    created = create_deployment.sync_detailed(client=admin, body=wanted)
    assert created.status_code == 201, created
    deployment = granted(created.parsed)

    deadline = time.monotonic() + PATIENCE_S
    while not (commands := granted(heartbeat.sync(client=caller, body=Heartbeat())).commands):
        assert time.monotonic() < deadline, "no command came"
        time.sleep(0.2)
    (command,) = commands
    assert command.kind == CommandKind.INSTALL and command.deployment_id == deployment.id, command
    assert command.bundle and command.bundle.id == bundle.id, command

    def say(state: ReportState) -> None:
        body = Report(command.assignment_id, command.attempt, state)
        assert granted(report.sync(client=caller, body=body)).acknowledged

    say(ReportState.DOWNLOADING)
    received = granted(download_bundle_as_device.sync(command.bundle.id, client=caller)).payload.read()
    assert hashlib.sha256(received).hexdigest() == command.bundle.sha256 == digest
    say(ReportState.INSTALLED)
    granted(heartbeat.sync(client=caller, body=Heartbeat(bundle_id=bundle.id, health=Health.HEALTHY)))

    deadline = time.monotonic() + PATIENCE_S
    while (state := granted(get_deployment.sync(deployment.id, client=admin)).state) != DeploymentState.COMPLETED:
        assert state in (DeploymentState.DRAFT, DeploymentState.RUNNING) and time.monotonic() < deadline, state
        time.sleep(0.2)
    (assignment,) = granted(list_assignments.sync(deployment.id, client=admin)).items
    assert assignment.state == AssignmentState.VERIFIED and assignment.device_id == device.id, assignment
    assert granted(get_device.sync(device.id, client=admin)).bundle_id == bundle.id


if __name__ == "__main__":
    main(*sys.argv[1:])
