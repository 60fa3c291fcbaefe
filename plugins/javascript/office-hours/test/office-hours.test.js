// Owns the tests in plain Node: the plugin is called as the host calls it, without a sandbox.

import assert from "node:assert/strict";
import { test } from "node:test";

import { authorization, lifecycle } from "../src/office-hours.js";

const SETTINGS = { covers: ["config:*"], from: "09:00", to: "17:00", utc_offset_minutes: -90 };

function configure(settings) {
  lifecycle.configure(JSON.stringify(settings));
}

/** Pointers of what is wrong with the settings. */
function pointers(settings) {
  try {
    configure(settings);
  } catch (diagnostics) {
    return diagnostics.map(({ pointer }) => pointer);
  }
  return [];
}

function check(time) {
  const context = [{ name: "now_ms", value: { tag: "integer", val: Date.parse(time) } }];
  const principal = { kind: "user", id: "usr_1", roles: [], facts: [] };
  const resource = { kind: "device", id: null, facts: [] };
  return authorization.check([{ principal, action: "config:write", resource, context }])[0];
}

test("changes are allowed in office hours only", () => {
  configure(SETTINGS);
  assert.deepEqual(check("2026-12-02T10:30:00Z"), { tag: "allow" });
  assert.deepEqual(check("2026-12-02T10:29:59Z"), {
    tag: "deny",
    val: {
      code: "outside-office-hours",
      message: "changes are made in office hours: mon, tue, wed, thu, fri from 09:00 to 17:00, UTC-01:30",
    },
  });
  assert.equal(check("2026-12-05T12:00:00Z").tag, "deny");
});

test("wrong settings are pointed at", () => {
  assert.deepEqual(pointers([]), [""]);
  assert.deepEqual(pointers({}), ["/covers", "/from", "/to"]);
  assert.deepEqual(pointers({ ...SETTINGS, "a/b": 1 }), ["/a~1b"]);
  assert.deepEqual(pointers({ ...SETTINGS, covers: ["config:write", "config"] }), ["/covers/1"]);
  assert.deepEqual(pointers({ ...SETTINGS, days: ["mon", "mon", "day"] }), ["/days/1", "/days/2"]);
  assert.deepEqual(pointers({ ...SETTINGS, from: "17:00" }), ["/to"]);
  assert.deepEqual(pointers({ ...SETTINGS, from: "24:00", to: 24 }), ["/from", "/to"]);
  assert.deepEqual(pointers({ ...SETTINGS, utc_offset_minutes: 0.5 }), ["/utc_offset_minutes"]);
  assert.deepEqual(pointers(SETTINGS), []);
});

test("the schema is what the manifest says", () => {
  const schema = JSON.parse(lifecycle.describe().settingsSchema);
  assert.deepEqual(Object.keys(schema.properties).sort(), ["covers", "days", "from", "to", "utc_offset_minutes"]);
});
