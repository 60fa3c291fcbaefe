// Owns the settings: what an administrator may write, and what is wrong with what they wrote.

/** Days of the week as settings name them, in the order of `Date.getUTCDay`. */
export const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const ACTION = /^(\*|[a-z0-9_-]+:(\*|[a-z0-9_-]+))$/;
const BEGINNING = /^([01][0-9]|2[0-3]):[0-5][0-9]$/;
const END = /^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$/;
const MAX_COVERS = 64;
const MIN_OFFSET = -720;
const MAX_OFFSET = 840;
/** The most diagnostics that the contract takes. */
const MAX_DIAGNOSTICS = 100;

/** JSON Schema of the settings. A server compares them with it before it asks `configure`. */
export const SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Settings",
  description: "When changes are allowed.",
  type: "object",
  additionalProperties: false,
  required: ["covers", "from", "to"],
  properties: {
    covers: {
      description: "The actions that are changes: `noun:verb`, `noun:*`, or `*`. All others are allowed.",
      type: "array",
      minItems: 1,
      maxItems: MAX_COVERS,
      items: { type: "string", pattern: ACTION.source },
    },
    days: {
      description: "The days with office hours.",
      type: "array",
      minItems: 1,
      items: { type: "string", enum: DAYS },
      default: ["mon", "tue", "wed", "thu", "fri"],
    },
    from: {
      description: "When office hours begin: `HH:MM`, 00:00 to 23:59.",
      type: "string",
      pattern: BEGINNING.source,
    },
    to: {
      description: "When they end on the same day, this minute excluded: `HH:MM`, up to 24:00.",
      type: "string",
      pattern: END.source,
    },
    utc_offset_minutes: {
      description: "How many minutes the clock of `from` and `to` is ahead of UTC, in summer and in winter.",
      type: "integer",
      minimum: MIN_OFFSET,
      maximum: MAX_OFFSET,
      default: 0,
    },
  },
};

/**
 * Takes the settings' text; gives what decisions need, or throws the diagnostics. What the schema says is looked at
 * again: the contract does not promise that somebody has.
 */
export function parse(text) {
  const settings = JSON.parse(text);
  const diagnostics = diagnose(settings);
  if (diagnostics.length > 0) {
    throw diagnostics.slice(0, MAX_DIAGNOSTICS);
  }
  const { covers, days = SCHEMA.properties.days.default, from, to, utc_offset_minutes: offset = 0 } = settings;
  return {
    covers: new Set(covers),
    days: days.map((day) => DAYS.indexOf(day)),
    fromMinute: minute(from),
    toMinute: minute(to),
    offsetMinutes: offset,
    words: `${days.join(", ")} from ${from} to ${to}, UTC${written(offset)}`,
  };
}

function diagnose(settings) {
  if (typeof settings !== "object" || settings === null || Array.isArray(settings)) {
    return [{ pointer: "", message: "the settings are an object" }];
  }
  const found = [];
  const wrong = (pointer, message) => found.push({ pointer, message });
  const { covers, days, from, to, utc_offset_minutes: offset, ...unknown } = settings;
  for (const name of Object.keys(unknown)) {
    wrong(`/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`, "there is no such setting");
  }
  if (isList(covers, MAX_COVERS)) {
    const isAction = (action) => typeof action === "string" && ACTION.test(action);
    covers.forEach((action, index) => {
      if (!isAction(action)) wrong(`/covers/${index}`, "this is no action: `noun:verb`, `noun:*` and `*` are");
    });
  } else {
    wrong("/covers", `there are 1 to ${MAX_COVERS} actions: a policy that covers none refuses nothing`);
  }
  if (days !== undefined) {
    if (isList(days, DAYS.length)) {
      days.forEach((day, index) => {
        if (!DAYS.includes(day)) wrong(`/days/${index}`, `this is none of ${DAYS.join(", ")}`);
        else if (days.indexOf(day) < index) wrong(`/days/${index}`, "this day was named before");
      });
    } else {
      wrong("/days", `there are 1 to ${DAYS.length} days`);
    }
  }
  const begins = typeof from === "string" && BEGINNING.test(from);
  const ends = typeof to === "string" && END.test(to);
  if (!begins) wrong("/from", "this is no time of day: 00:00 to 23:59 are");
  if (!ends) wrong("/to", "this is no end of a day's hours: 00:01 to 24:00 are");
  if (begins && ends && minute(to) <= minute(from)) wrong("/to", "office hours end after they begin, on the same day");
  if (offset !== undefined && !(Number.isInteger(offset) && offset >= MIN_OFFSET && offset <= MAX_OFFSET)) {
    wrong("/utc_offset_minutes", `there are ${MIN_OFFSET} to ${MAX_OFFSET} minutes`);
  }
  return found;
}

function isList(value, atMost) {
  return Array.isArray(value) && value.length > 0 && value.length <= atMost;
}

/** Minutes since midnight of `HH:MM`. */
function minute(time) {
  const [hours, minutes] = time.split(":").map(Number);
  return hours * 60 + minutes;
}

/** An offset as people write it: `+01:00`. */
function written(offsetMinutes) {
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.abs(offsetMinutes);
  return `${offsetMinutes < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}
