// Walks openapi-fetch, with the types that openapi-typescript generates, through a device's life, against a
// running server.
//
//     tsx walk.ts http://127.0.0.1:8080 <set-up token>

import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, randomUUID, sign } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./kernex.js";

type Schemas = components["schemas"];

const username = "walker";
const password = "one step after another";
const patienceMs = 60_000;

/** What openapi-fetch answers: either data, or the problem document. */
function granted<T>(answer: { data?: T; error?: Schemas["Problem"] }): T {
  assert(answer.data !== undefined, JSON.stringify(answer.error));
  return answer.data;
}

/** Asks until there is an answer. */
async function patiently<T>(ask: () => Promise<T | undefined>, what: string): Promise<T> {
  for (const deadline = Date.now() + patienceMs; Date.now() < deadline; await sleep(200)) {
    const answer = await ask();
    if (answer !== undefined) return answer;
  }
  assert.fail(`waited in vain for ${what}`);
}

const sha256 = (content: Uint8Array) => createHash("sha256").update(content).digest("hex");

function assertion(deviceId: string, jti: string, key: KeyObject): string {
  const base64 = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const claims = { iss: deviceId, sub: deviceId, aud: "kernex", jti, exp: Math.floor(Date.now() / 1000) + 60 };
  const signed = `${base64({ alg: "EdDSA", typ: "JWT" })}.${base64(claims)}`;
  return `${signed}.${sign(null, Buffer.from(signed), key).toString("base64url")}`;
}

const [baseUrl, setup_token] = process.argv.slice(2);
const walk = randomUUID().replaceAll("-", "");
const server = createClient<paths>({ baseUrl });
const as = (token: string) => createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

const login = () => server.POST("/api/v1/auth/login", { body: { username, password } });
let session = await login();
// The first walk on a server finds no account and makes it; the later ones find theirs.
if (session.error) {
  assert.equal(session.error.status, 401);
  const body = { username, email: `${username}@example.org`, password, setup_token };
  assert.deepEqual(granted(await server.POST("/api/v1/auth/register", { body })).roles, ["admin"]);
  session = await login();
}
const admin = as(granted(session).access_token);
assert.equal(granted(await admin.GET("/api/v1/auth/me")).username, username);

const content = randomBytes(100_000);
const uploaded = await admin.POST("/api/v1/bundles", {
  params: { query: { name: "walk", version: `1.0.0+${walk}` } },
  headers: { "Content-Type": "application/octet-stream" },
  // openapi-typescript types every binary body as a string; fetch takes the bytes as they are.
  body: content as unknown as string,
  bodySerializer: (body) => body,
});
assert.equal(uploaded.response.status, 201);
const bundle = granted(uploaded);
assert.deepEqual(
  [bundle.version, bundle.size, bundle.sha256, bundle.status],
  [`1.0.0+${walk}`, content.length, sha256(content), "available" satisfies Schemas["BundleStatus"]],
);
const unknown = await admin.GET("/api/v1/bundles/{id}", { params: { path: { id: "bun_00000000000000000000000000" } } });
assert.equal(unknown.error?.status, 404);

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const public_key = publicKey.export({ type: "spki", format: "pem" }).toString();
const facts = { walk, cores: 4, load: 0.5, tpm: true, slots: ["a", "b"] };
const enrolled = await server.POST("/api/v1/devices", { body: { public_key, facts } });
assert.equal(enrolled.response.status, 201);
const device = granted(enrolled);
assert.equal(device.status, "active" satisfies Schemas["DeviceStatus"]);
assert.deepEqual(device.facts, facts);

const grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer" as const;
const proof = { grant_type, assertion: assertion(device.id, walk, privateKey) };
const token = granted(await server.POST("/api/v1/device/token", { body: proof }));
assert(token.token_type === "Bearer" && token.expires_in > 0);
const caller = as(token.access_token);
const beat = async (body: Schemas["Heartbeat"]) => granted(await caller.POST("/api/v1/device/heartbeat", { body }));
const idle = await beat({});
assert.deepEqual(idle.commands, []);
assert(idle.next_poll_s > 0);

const plan = { max_in_flight: 1, soak_s: 0, canary: 1, attempt_timeout_s: 3600, max_attempts: 3, frozen: false };
const created = await admin.POST("/api/v1/deployments", {
  body: { name: `walk ${walk}`, selector: `fact.walk=${walk}`, bundle_id: bundle.id, plan },
});
assert.equal(created.response.status, 201);
const deployment = granted(created);

const command = await patiently(async () => (await beat({})).commands[0], "a command");
assert.equal(command.kind, "install" satisfies Schemas["CommandKind"]);
assert.equal(command.deployment_id, deployment.id);
assert.equal(command.bundle?.id, bundle.id);

const { assignment_id, attempt } = command;
const say = async (state: Schemas["ReportState"]) => {
  const answer = await caller.POST("/api/v1/device/reports", { body: { assignment_id, attempt, state } });
  assert(granted(answer).acknowledged);
};

await say("downloading");
const download = await caller.GET("/api/v1/device/bundles/{id}/content", {
  params: { path: { id: command.bundle.id } },
  parseAs: "arrayBuffer",
});
const received = sha256(new Uint8Array(granted(download)));
assert.equal(received, command.bundle.sha256);
assert.equal(received, sha256(content));
await say("installed");
await beat({ bundle_id: bundle.id, health: "healthy" });

const path = { id: deployment.id };
await patiently(async () => {
  const { state } = granted(await admin.GET("/api/v1/deployments/{id}", { params: { path } }));
  assert(["draft", "running", "completed"].includes(state), state);
  return state === "completed" || undefined;
}, "the end of the deployment");
const { items } = granted(await admin.GET("/api/v1/deployments/{id}/assignments", { params: { path } }));
assert.deepEqual(
  items.map((assignment) => [assignment.device_id, assignment.state]),
  [[device.id, "verified" satisfies Schemas["AssignmentState"]]],
);
const after = granted(await admin.GET("/api/v1/devices/{id}", { params: { path: { id: device.id } } }));
assert.equal(after.bundle_id, bundle.id);
