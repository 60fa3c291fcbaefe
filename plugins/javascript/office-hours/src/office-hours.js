// Owns the decision: changes are allowed in office hours only. It grants nothing: whatever it has nothing against is
// still for the other authorization policies to allow.
//
// The names are those of sdk/wit/v1/policy.wit: an exported interface is an exported object, `settings-schema` is
// `settingsSchema`, a variant is `{ tag, val }`, and the error of a `result` is thrown.

import { SCHEMA, parse } from "./settings.js";

const MINUTE_MS = 60_000;
/** The context's fact for the time of the call. There is no clock: `Date.now()` would make a fault. */
const NOW = "now_ms";

/** What `configure` has left. The server takes its snapshot after that, and every decision starts from it. */
let hours;

export const lifecycle = {
  describe() {
    return {
      name: "office-hours",
      version: "0.1.0",
      summary: "Changes in office hours only",
      settingsSchema: JSON.stringify(SCHEMA),
    };
  },

  configure(text) {
    hours = parse(text);
  },
};

export const authorization = {
  check(requests) {
    return requests.map(decide);
  },

  /** Lists are not narrowed. */
  scope() {
    return { tag: "all" };
  },
};

function decide({ principal, action, context }) {
  if (!isChange(principal, action)) {
    return { tag: "allow" };
  }
  const now = integer(context, NOW);
  if (now === undefined) {
    return deny("time-unknown", "the time of the call is not known: it may be outside of office hours");
  }
  if (!isOpen(now)) {
    return deny("outside-office-hours", `changes are made in office hours: ${hours.words}`);
  }
  return { tag: "allow" };
}

/** What devices do to themselves is no change that anybody plans, and who has not logged in logs in first. */
function isChange({ kind }, action) {
  const planned = kind === "user" || kind === "service";
  const noun = action.slice(0, action.indexOf(":"));
  return planned && (hours.covers.has(action) || hours.covers.has(`${noun}:*`) || hours.covers.has("*"));
}

function isOpen(now) {
  const local = new Date(now + hours.offsetMinutes * MINUTE_MS);
  const minute = local.getUTCHours() * 60 + local.getUTCMinutes();
  return hours.days.includes(local.getUTCDay()) && minute >= hours.fromMinute && minute < hours.toMinute;
}

/** The fact of this name, where it is a whole number. */
function integer(facts, name) {
  const fact = facts.find((fact) => fact.name === name);
  return fact?.value.tag === "integer" ? fact.value.val : undefined;
}

function deny(code, message) {
  return { tag: "deny", val: { code, message } };
}
