//! template-name keeps some actions to some hours of the day.

use kernex_sdk::authorization::{Decision, Principal, Request, Visible};
use kernex_sdk::{Authorization, Diagnostic, Facts, Plugin, Reason};
use schemars::JsonSchema;
use serde::Deserialize;

/// The fact of the context that says what time it is, in milliseconds since 1970.
const NOW: &str = "now_ms";
/// An hour, in milliseconds.
const HOUR_MS: i64 = 3_600_000;
/// Hours of a day.
const DAY_HOURS: u8 = 24;

/// What an administrator sets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The actions that are kept to those hours, such as `deployment:create`.
    pub actions: Vec<String>,
    /// The first hour of the day (UTC) at which they are allowed, 0 to 23.
    pub from_hour: u8,
    /// The hour of the day (UTC) from which they are not any more, 1 to 24.
    pub until_hour: u8,
}

/// The configured plugin.
#[derive(Debug)]
pub struct TemplateName {
    actions: Vec<String>,
    hours: std::ops::Range<i64>,
}

impl Plugin for TemplateName {
    const NAME: &'static str = "template-name";
    const SUMMARY: &'static str = "Keeps some actions to some hours of the day";
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, Vec<Diagnostic>> {
        let Settings {
            actions,
            from_hour,
            until_hour,
        } = settings;
        let mut diagnostics = Vec::new();
        for (index, action) in actions.iter().enumerate() {
            if !action
                .split_once(':')
                .is_some_and(|(noun, verb)| !noun.is_empty() && !verb.is_empty())
            {
                diagnostics.push(Diagnostic::new(
                    format!("/actions/{index}"),
                    "an action is noun:verb",
                ));
            }
        }
        if until_hour > DAY_HOURS {
            diagnostics.push(Diagnostic::new(
                "/until_hour",
                format!("a day has {DAY_HOURS} hours"),
            ));
        }
        if from_hour >= until_hour {
            diagnostics.push(Diagnostic::new("/from_hour", "it is before until_hour"));
        }
        if diagnostics.is_empty() {
            Ok(Self {
                actions,
                hours: i64::from(from_hour)..i64::from(until_hour),
            })
        } else {
            Err(diagnostics)
        }
    }
}

impl Authorization for TemplateName {
    fn check(&self, request: &Request) -> Decision {
        if !self.actions.contains(&request.action) {
            return Decision::Allow;
        }
        let Some(now_ms) = request.context.integer(NOW) else {
            return Decision::Deny(Reason::new(
                "time-unknown",
                "the host did not say what time it is",
            ));
        };
        let hour = now_ms.div_euclid(HOUR_MS).rem_euclid(DAY_HOURS.into());
        if self.hours.contains(&hour) {
            return Decision::Allow;
        }
        let (from, until) = (self.hours.start, self.hours.end);
        Decision::Deny(Reason::new(
            "outside-hours",
            format!("allowed from {from} to {until} o'clock UTC; it is {hour}"),
        ))
    }

    fn scope(&self, _: &Principal, _: &str, _: &str) -> Visible {
        Visible::All
    }
}

kernex_sdk::export_authorization!(TemplateName);

#[cfg(test)]
mod tests {
    use kernex_sdk::authorization::PrincipalKind;
    use kernex_sdk::{Fact, testing};

    use super::*;

    const SETTINGS: &str =
        r#"{"actions": ["deployment:create"], "from_hour": 8, "until_hour": 17}"#;

    fn answer(action: &str, context: Vec<Fact>) -> Option<String> {
        let operator = testing::principal(PrincipalKind::User, &["operator"]);
        let request = Request {
            context,
            ..testing::request(operator, action)
        };
        match TemplateName::from_json(SETTINGS).unwrap().check(&request) {
            Decision::Allow => None,
            Decision::Deny(reason) => Some(reason.code),
        }
    }

    fn at(hour: i64) -> Vec<Fact> {
        vec![Fact::integer(NOW, (24 * 20_000 + hour) * HOUR_MS)]
    }

    #[test]
    fn an_action_is_kept_to_its_hours() {
        assert_eq!(answer("deployment:create", at(8)), None);
        assert_eq!(answer("deployment:create", at(16)), None);
        assert_eq!(
            answer("deployment:create", at(17)).as_deref(),
            Some("outside-hours")
        );
        assert_eq!(
            answer("deployment:create", at(7)).as_deref(),
            Some("outside-hours")
        );
        assert_eq!(answer("deployment:read", at(3)), None);
    }

    #[test]
    fn what_is_not_known_opens_no_gate() {
        assert_eq!(
            answer("deployment:create", Vec::new()).as_deref(),
            Some("time-unknown")
        );
        assert_eq!(
            answer("deployment:create", vec![Fact::text(NOW, "noon")]).as_deref(),
            Some("time-unknown")
        );
    }

    #[test]
    fn wrong_settings_are_pointed_at() {
        let wrong = |text: &str| TemplateName::from_json(text).unwrap_err().remove(0).pointer;
        assert_eq!(
            wrong(r#"{"actions": ["deploy"], "from_hour": 8, "until_hour": 17}"#),
            "/actions/0"
        );
        assert_eq!(
            wrong(r#"{"actions": [], "from_hour": 8, "until_hour": 25}"#),
            "/until_hour"
        );
        assert_eq!(
            wrong(r#"{"actions": [], "from_hour": 17, "until_hour": 17}"#),
            "/from_hour"
        );
        assert_eq!(
            wrong(r#"{"actions": [], "from_hour": 8, "until_hour": 17, "zone": "CET"}"#),
            "/zone"
        );
    }
}
