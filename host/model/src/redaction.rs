//! Owns redaction: the values of facts that a policy declares secret are not written down with what it decided.

use serde_json::{Value, json};

use crate::attribute::key;
use crate::comparison::Difference;
use crate::record::Decision;

/// Facts that one revision of a policy may declare secret.
pub const MAX_SECRET_FACTS: usize = 64;
/// What is written in the place of a secret value.
pub const REDACTED: &str = "(redacted)";

/// Places that a declaration may name.
const NAMED: [&str; 3] = ["principal", "resource", "context"];
/// Where questions have facts, and how a declaration may call the place.
const PLACES: [(&str, &[&str]); 5] = [
    ("/principal/facts", &["principal"]),
    ("/resource/facts", &["resource"]),
    ("/context", &["context"]),
    // Of a deployment that is planned, and of a device that is to go back.
    ("/facts", &[]),
    ("/window/facts", &[]),
];

text!(/// A fact whose value is not written down: its name, such as `fact.serial`, or where it stands (`principal`,
    /// `resource` or `context`) and its name, such as `context.address`.
    SecretFact { pattern: "^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length: 96, example: "context.address", rule: key });

impl SecretFact {
    fn means(&self, places: &[&str], name: &str) -> bool {
        let text = self.as_str();
        let there = |place: &&str| text.strip_prefix(*place).and_then(|rest| rest.strip_prefix('.')) == Some(name);
        text == name || places.iter().any(there)
    }

    /// Whether it is meant where a device is kept as it was: by this key, as selectors write it.
    #[must_use]
    pub fn means_of_device(&self, key: &str) -> bool {
        self.means(&["resource"], key)
    }
}

impl Decision {
    /// Replaces the values of secret facts, in the question and among what was looked up for it. The plugin's log goes
    /// as a whole where anything is secret: nobody knows what its lines say. That alone keeps nothing from being asked
    /// again.
    pub fn redact(&mut self, secrets: &[SecretFact]) {
        if !secrets.is_empty() && !self.log.is_empty() {
            self.log = Vec::new();
            self.log_truncated = true;
        }
        let asked = hide_in_question(&mut self.input.0, secrets);
        // Where a fact was looked up its place is not known.
        let read = hide(&mut self.facts_read.0, &NAMED, secrets);
        self.redacted |= asked || read;
    }
}

impl Difference {
    /// Replaces the values of secret facts in the question.
    pub fn redact(&mut self, secrets: &[SecretFact]) {
        hide_in_question(&mut self.input.0, secrets);
    }
}

fn hide_in_question(question: &mut Value, secrets: &[SecretFact]) -> bool {
    let mut found = false;
    for (pointer, places) in PLACES {
        if let Some(facts) = question.pointer_mut(pointer) {
            found |= hide(facts, places, secrets);
        }
    }
    found
}

/// Hides what is secret in a list of facts; tells whether anything was.
fn hide(facts: &mut Value, places: &[&str], secrets: &[SecretFact]) -> bool {
    let mut found = false;
    for fact in facts.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        let name = fact.get("name").and_then(Value::as_str).unwrap_or_default();
        if secrets.iter().any(|secret| secret.means(places, name)) {
            // A text, whatever it was: a question that is read back has a fact there.
            fact.insert("value".to_owned(), json!({ "text": REDACTED }));
            found = true;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::policy::{
        AuthorizationRequest, Counts, Fact, LogLevel, LogLine, PolicyPrincipal, PrincipalKind, Resource,
        RollbackRequest, TargetingDeployment, Window,
    };

    fn secrets(names: &[&str]) -> Vec<SecretFact> {
        names.iter().map(|name| name.parse().expect("a name")).collect()
    }

    fn facts(names: &[&str]) -> Vec<Fact> {
        names.iter().map(|name| Fact::text(*name, "s3cret")).collect()
    }

    fn decision(question: &impl Serialize, facts_read: &[Fact]) -> Decision {
        serde_json::from_value(json!({
            "id": "dec_01M7ZBN26060KA1JJ8BSC32SBV", "at": "2026-11-21T15:30:00.000Z", "gate": "authorization",
            "policy": "rbac", "plugin_digest": "0".repeat(64), "settings_digest": "0".repeat(64), "subject": "s",
            "question": "q", "outcome": "deny", "code": "c", "message": "m", "input": question, "output": null,
            "facts_read": facts_read, "fuel": 1, "duration_us": 1, "request_id": null,
        }))
        .expect("a decision of before there was redaction")
    }

    /// What is left of a question, read back as what it was; and in how many places something was hidden.
    fn left<T: Serialize + DeserializeOwned>(question: &T, names: &[&str]) -> (T, usize) {
        let mut decision = decision(question, &[]);
        decision.redact(&secrets(names));
        let hidden = decision.input.0.to_string().matches(REDACTED).count();
        assert_eq!(decision.redacted, hidden > 0);
        (serde_json::from_value(decision.input.0).expect("a question"), hidden)
    }

    fn request() -> AuthorizationRequest {
        let principal =
            PolicyPrincipal { kind: PrincipalKind::User, id: "usr_1".into(), roles: vec![], facts: facts(&["team"]) };
        let resource = Resource { kind: "device".into(), id: None, facts: facts(&["fact.serial", "address"]) };
        AuthorizationRequest { principal, action: "device:read".into(), resource, context: facts(&["address"]) }
    }

    #[test]
    fn a_fact_is_named_alone_or_with_its_place() {
        for (names, hidden) in [
            (vec!["context.address"], 1),
            (vec!["resource.address"], 1),
            (vec!["address"], 2),
            (vec!["fact.serial"], 1),
            (vec!["resource.fact.serial", "principal.team"], 2),
            (vec!["context.address", "address"], 2),
            (vec!["principal.address", "serial", "fact", "context", "addres", "context.team"], 0),
            (vec![], 0),
        ] {
            assert_eq!(left(&request(), &names).1, hidden, "{names:?}");
        }
        let (read, _) = left(&request(), &["context.address"]);
        assert_eq!(read.context, [Fact::text("address", REDACTED)]);
        assert_eq!((read.resource, read.principal), (request().resource, request().principal));
    }

    #[test]
    fn questions_of_every_gate_are_searched() {
        let names = ["bundle.version", "settings.token"];
        let planned = TargetingDeployment { id: "dep_1".into(), facts: facts(&names), created_at_ms: 7 };
        let device = RollbackRequest {
            device: "dev_1".into(),
            from_bundle: "bun_1".into(),
            to_bundle: "bun_2".into(),
            facts: facts(&names),
        };
        let window = Window {
            deployment: "dep_1".into(),
            facts: facts(&names),
            now_ms: 1,
            wave: 0,
            waves: 1,
            wave_opened_at_ms: 1,
            in_wave: Counts::default(),
            overall: Counts::default(),
            failures: Vec::new(),
        };
        let wanted = [Fact::text("bundle.version", "s3cret"), Fact::text("settings.token", REDACTED)];
        assert_eq!(left(&planned, &["settings.token"]).0.facts, wanted);
        assert_eq!(left(&device, &["settings.token"]).0.facts, wanted);
        let mut judged = decision(&json!({ "window": window, "state": "AQ==" }), &[]);
        judged.redact(&secrets(&["settings.token"]));
        assert_eq!(judged.input.0["window"]["facts"], json!(wanted));
        assert_eq!(judged.input.0["state"], "AQ==");
    }

    #[test]
    fn what_was_looked_up_is_hidden_whatever_its_type() {
        let ids = Fact::texts("ids", vec!["s3cret".into()]);
        let read = [Fact::integer("fact.pin", 1_234), Fact::boolean("ill", true), ids];
        let mut decision = decision(&json!({}), &read);
        decision.redact(&secrets(&["resource.fact.pin", "ids"]));
        let left: Vec<Fact> = serde_json::from_value(decision.facts_read.0.clone()).expect("facts");
        assert_eq!(left, [Fact::text("fact.pin", REDACTED), Fact::boolean("ill", true), Fact::text("ids", REDACTED)]);
        assert!(decision.redacted);
        decision.redact(&[]);
        assert!(decision.redacted, "what is hidden stays hidden");
    }

    #[test]
    fn a_log_is_left_out_where_anything_is_secret() {
        let line = || LogLine { level: LogLevel::Info, message: "s3cret".into() };
        let mut decision = decision(&request(), &[]);
        assert!(decision.log.is_empty() && !decision.log_truncated, "of before there were logs");
        decision.log = vec![line()];
        decision.redact(&[]);
        assert_eq!((&decision.log, decision.log_truncated), (&vec![line()], false));
        decision.redact(&secrets(&["fact.other"]));
        assert_eq!((&decision.log, decision.log_truncated), (&Vec::new(), true));
        assert!(!decision.redacted, "the question is there as a whole");
        let mut silent = Decision { log_truncated: false, ..decision };
        silent.redact(&secrets(&["fact.other"]));
        assert!(!silent.log_truncated, "nothing was written");
    }

    #[test]
    fn names_have_a_rule() {
        for bad in ["", ".address", "a b", "a=b", &"a".repeat(97)] {
            assert!(bad.parse::<SecretFact>().is_err(), "{bad}");
        }
    }
}
