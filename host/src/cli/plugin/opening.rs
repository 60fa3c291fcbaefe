//! Owns what it means that an answer opens a gate: it lets more through than another one.

use kernex_model::policy::{Operator, Permission, Requirement, RollbackAction, Visible};

use super::ask::Answer;

/// Whether the second answer lets more through than the first.
pub(super) fn opens(first: &Answer, second: &Answer) -> bool {
    match (first, second) {
        (Answer::Check(first), Answer::Check(second)) => !first.is_allowed() && second.is_allowed(),
        (Answer::Scope(first), Answer::Scope(second)) => shows_more(first, second),
        // A classification whose survey refuses is heard as that refusal.
        (Answer::Survey(Err(_)), Answer::Survey(Ok(_)) | Answer::Classify(_)) => true,
        (Answer::Classify(first), Answer::Classify(second)) => {
            first.left_out.iter().zip(&second.left_out).any(|(before, now)| *before && !*now)
        }
        (Answer::Judge(first), Answer::Judge(second)) => let_on(first.action) < let_on(second.action),
        (Answer::Permit(first), Answer::Permit(second)) => {
            *first != Permission::Permitted && *second == Permission::Permitted
        }
        _ => false,
    }
}

/// Whether the second list may hold what the first does not.
fn shows_more(first: &Visible, second: &Visible) -> bool {
    let requirements = |visible: &Visible| match visible {
        // No requirement holds for everything.
        Visible::All => Some(Vec::new()),
        Visible::Matching(requirements) => Some(requirements.clone()),
        Visible::Nothing(_) => None,
    };
    match (requirements(first), requirements(second)) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(first), Some(second)) => !first.iter().all(|wanted| second.iter().any(|given| is_kept_by(wanted, given))),
    }
}

/// Whether a requirement holds wherever another one does, as far as the two of them tell.
fn is_kept_by(wanted: &Requirement, given: &Requirement) -> bool {
    let among = |few: &Requirement, many: &Requirement| few.values.iter().all(|value| many.values.contains(value));
    let kept = match (wanted.operator, given.operator) {
        (Operator::Equals | Operator::OneOf, Operator::Equals | Operator::OneOf) => among(given, wanted),
        (Operator::Differs | Operator::NoneOf, Operator::Differs | Operator::NoneOf) => among(wanted, given),
        (Operator::Exists, Operator::Exists | Operator::Equals | Operator::OneOf)
        | (Operator::Absent | Operator::Differs | Operator::NoneOf, Operator::Absent) => true,
        _ => false,
    };
    kept && wanted.key == given.key
}

/// How far a deployment is let on: more devices get it where this is more.
fn let_on(action: RollbackAction) -> u8 {
    match action {
        RollbackAction::RollBack(_) => 0,
        RollbackAction::Pause => 1,
        RollbackAction::Hold => 2,
        RollbackAction::Proceed => 3,
        RollbackAction::Advance => 4,
    }
}

#[cfg(test)]
mod tests {
    use kernex_model::policy::{AuthorizationDecision, Extent, Reason, RollbackOutcome, TargetingPlan};
    use kernex_model::selector::Selector;

    use super::super::ask::Classes;
    use super::*;

    #[test]
    fn a_deployment_is_let_on_where_more_devices_get_it() {
        let judged = |action| {
            Answer::Judge(RollbackOutcome { action, reason: Reason::new("judged", "judged"), state: Vec::new() })
        };
        let order = [
            RollbackAction::RollBack(Extent::Everyone),
            RollbackAction::Pause,
            RollbackAction::Hold,
            RollbackAction::Proceed,
            RollbackAction::Advance,
        ];
        for (at, first) in order.into_iter().enumerate() {
            for (then, second) in order.into_iter().enumerate() {
                assert_eq!(opens(&judged(first), &judged(second)), then > at, "{first:?} {second:?}");
            }
        }
        let permit = Answer::Permit;
        let refused = || Permission::Refused(Reason::new("no", "no"));
        assert!(opens(&permit(refused()), &permit(Permission::Permitted)));
        assert!(
            !opens(&permit(Permission::Permitted), &permit(refused()))
                && !opens(&permit(refused()), &permit(refused()))
        );
        let classes = |left_out: &[bool]| {
            Answer::Classify(Classes { named: vec!["a".to_owned(); left_out.len()], left_out: left_out.to_vec() })
        };
        assert!(opens(&classes(&[false, true]), &classes(&[true, false])), "one that was left out is in a wave");
        assert!(!opens(&classes(&[false, true]), &classes(&[true, true])));
    }

    #[test]
    fn an_answer_opens_the_gate_when_it_lets_more_through() {
        let deny = || Answer::Check(AuthorizationDecision::Deny(Reason::new("no", "no")));
        let allow = || Answer::Check(AuthorizationDecision::Allow);
        assert!(opens(&deny(), &allow()));
        assert!(!opens(&allow(), &deny()) && !opens(&deny(), &deny()) && !opens(&allow(), &allow()));
        assert!(!opens(&deny(), &shown("*")));
    }

    /// A list of what a selector matches.
    fn shown(selector: &str) -> Answer {
        Answer::Scope(Visible::Matching(selector.parse::<Selector>().expect(selector).requirements().to_vec()))
    }

    #[test]
    fn a_list_opens_the_gate_when_it_may_hold_more() {
        let nothing = || Answer::Scope(Visible::Nothing(Reason::new("no", "no")));
        let all = || Answer::Scope(Visible::All);
        let everything = || Answer::Scope(Visible::Matching(Vec::new()));
        for more in [shown("site=a"), everything(), all()] {
            assert!(opens(&nothing(), &more) && !opens(&more, &nothing()), "{more:?}");
            assert!(!opens(&more, &more) && !opens(&all(), &more) && !opens(&everything(), &more), "{more:?}");
        }
        assert!(opens(&shown("site=a"), &all()), "all of them");
        assert!(opens(&shown("site=a"), &everything()), "no requirement is all of them, too");
        for (first, second) in [
            ("site=a", "site=a,ring=b"),
            ("site in (a,b)", "site=b"),
            ("site=a", "site in (a)"),
            ("site!=a", "site notin (b,a)"),
            ("site!=a", "!site"),
            ("site", "site=a"),
            ("!site", "ring=b,!site"),
            ("site=a,ring=b", "ring=b,site=a"),
        ] {
            assert!(!opens(&shown(first), &shown(second)), "{first} then {second}");
        }
        for (first, second) in [
            ("site=a", "site=b"),
            ("site=a", "ring=a"),
            ("site=a,ring=b", "site=a"),
            ("site=b", "site in (a,b)"),
            ("site notin (a,b)", "site!=a"),
            ("site=a", "site"),
            ("site!=a", "site=b"),
            ("!site", "site!=a"),
        ] {
            assert!(opens(&shown(first), &shown(second)), "{first} then {second}");
        }
    }

    #[test]
    fn a_plan_opens_the_gate_where_there_was_none() {
        let refused = || Answer::Survey(Err(Reason::new("no", "no")));
        let (candidates, columns, waves, exclusions) = (Vec::new(), Vec::new(), vec!["all".to_owned()], Vec::new());
        let plan = Answer::Survey(Ok(TargetingPlan { candidates, columns, waves, exclusions }));
        let classes = Answer::Classify(Classes { named: vec!["all".to_owned()], left_out: vec![false] });
        for planned in [plan, classes] {
            assert!(opens(&refused(), &planned) && !opens(&planned, &refused()), "{planned:?}");
            assert!(!opens(&planned, &planned), "{planned:?}");
        }
        assert!(!opens(&refused(), &refused()));
    }
}
