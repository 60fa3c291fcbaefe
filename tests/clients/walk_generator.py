"""Walks the Python client that the OpenAPI Generator generates through a device's life, against a running server.

    walk_generator.py http://127.0.0.1:8080 <set-up token>
"""

import hashlib
import os
import sys
import time
import uuid

import jwt
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kernex_generated import (
    ApiClient,
    AssignmentState,
    AuthApi,
    BundlesApi,
    BundleStatus,
    CommandKind,
    Configuration,
    DeploymentRequest,
    DeploymentsApi,
    DeploymentState,
    DeviceApi,
    DeviceFactsValue,
    DevicesApi,
    DeviceStatus,
    DeviceTokenRequest,
    EnrolmentRequest,
    Health,
    Heartbeat,
    Login,
    PlanRequest,
    Registration,
    Report,
    ReportState,
)
from kernex_generated.exceptions import NotFoundException, UnauthorizedException

USER, PASSWORD = "walker", "one step after another"
PATIENCE_S = 60


def client(url: str, token: str | None = None) -> ApiClient:
    return ApiClient(Configuration(host=url, access_token=token))


def log_in(auth: AuthApi, setup_token: str) -> str:
    body = Login(username=USER, password=PASSWORD)
    try:
        return auth.login(body).access_token
    except UnauthorizedException as refused:
        # The first walk on a server finds no account and makes it; the later ones find theirs.
        assert refused.data.status == 401, refused
    account = Registration(username=USER, email=f"{USER}@example.org", password=PASSWORD, setup_token=setup_token)
    assert auth.register_user(account).roles == ["admin"]
    return auth.login(body).access_token


def main(url: str, setup_token: str) -> None:
    walk = uuid.uuid4().hex
    server = client(url)
    admin = client(url, log_in(AuthApi(server), setup_token))
    assert AuthApi(admin).get_current_user().username == USER

    content = os.urandom(100_000)
    digest = hashlib.sha256(content).hexdigest()
    bundles = BundlesApi(admin)
    uploaded = bundles.upload_bundle_with_http_info(name="walk", version=f"1.0.0+{walk}", body=content)
    assert uploaded.status_code == 201, uploaded
    bundle = uploaded.data
    assert (bundle.version, bundle.size, bundle.sha256) == (f"1.0.0+{walk}", len(content), digest), bundle
    assert bundle.status == BundleStatus.AVAILABLE, bundle
    try:
        raise AssertionError(bundles.get_bundle("bun_00000000000000000000000000"))
    except NotFoundException as unknown:
        assert unknown.data.status == 404, unknown

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo).decode()
    facts = {"walk": walk, "cores": 4, "load": 0.5, "tpm": True, "slots": ["a", "b"]}
    request = EnrolmentRequest(public_key=public, facts={name: DeviceFactsValue(fact) for name, fact in facts.items()})
    enrolled = DevicesApi(server).enrol_device_with_http_info(request)
    assert enrolled.status_code == 201, enrolled
    device = enrolled.data
    assert device.status == DeviceStatus.ACTIVE, device
    assert {name: fact.actual_instance for name, fact in device.facts.items()} == facts, device

    claims = {"iss": device.id, "sub": device.id, "aud": "kernex", "jti": walk, "exp": int(time.time()) + 60}
    proof = DeviceTokenRequest(
        grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer",
        assertion=jwt.encode(claims, key, algorithm="EdDSA"),
    )
    token = DeviceApi(server).issue_device_token(proof)
    assert token.token_type == "Bearer" and token.expires_in > 0, token
    caller = DeviceApi(client(url, token.access_token))
    idle = caller.heartbeat(Heartbeat())
    assert idle.commands == [] and idle.next_poll_s > 0, idle

    plan = PlanRequest(max_in_flight=1, soak_s=0, canary=1)
    deployments = DeploymentsApi(admin)
    created = deployments.create_deployment_with_http_info(
        DeploymentRequest(name=f"walk {walk}", selector=f"fact.walk={walk}", bundle_id=bundle.id, plan=plan)
    )
    assert created.status_code == 201, created
    deployment = created.data

    deadline = time.monotonic() + PATIENCE_S
    while not (commands := caller.heartbeat(Heartbeat()).commands):
        assert time.monotonic() < deadline, "no command came"
        time.sleep(0.2)
    (command,) = commands
    assert command.kind == CommandKind.INSTALL and command.deployment_id == deployment.id, command
    assert command.bundle and command.bundle.id == bundle.id, command

    def say(state: ReportState) -> None:
        body = Report(assignment_id=command.assignment_id, attempt=command.attempt, state=state)
        assert caller.report(body).acknowledged

    say(ReportState.DOWNLOADING)
    received = caller.download_bundle_as_device(command.bundle.id)
    assert hashlib.sha256(received).hexdigest() == command.bundle.sha256 == digest
    say(ReportState.INSTALLED)
    caller.heartbeat(Heartbeat(bundle_id=bundle.id, health=Health.HEALTHY))

    deadline = time.monotonic() + PATIENCE_S
    while (state := deployments.get_deployment(deployment.id).state) != DeploymentState.COMPLETED:
        assert state in (DeploymentState.DRAFT, DeploymentState.RUNNING) and time.monotonic() < deadline, state
        time.sleep(0.2)
    (assignment,) = deployments.list_assignments(deployment.id).items
    assert assignment.state == AssignmentState.VERIFIED and assignment.device_id == device.id, assignment
    assert DevicesApi(admin).get_device(device.id).bundle_id == bundle.id


if __name__ == "__main__":
    main(*sys.argv[1:])
