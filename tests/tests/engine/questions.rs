//! Questions to ask of any policy.

use kernex_model::policy::{
    AuthorizationRequest, Batch, Column, Counts, Fact, PolicyPrincipal, PrincipalKind, Resource, RollbackRequest,
    TargetingDeployment, TargetingPlan, Window,
};

/// Settings of `rbac`.
pub(super) const ROLES: &str = r#"{"roles": {
    "admin": {"grants": ["*"]},
    "operator": {"grants": ["device:*", "deployment:create"]},
    "viewer": {"grants": ["device:read", "device:list"]}
}, "device": {"grants": ["device:heartbeat"]}}"#;

pub(super) fn principal(roles: &[&str]) -> PolicyPrincipal {
    PolicyPrincipal {
        kind: PrincipalKind::User,
        id: "usr_1".into(),
        roles: roles.iter().map(ToString::to_string).collect(),
        facts: vec![Fact::texts("teams", vec!["field".into(), "lab".into()])],
    }
}

pub(super) fn request(roles: &[&str], action: &str) -> AuthorizationRequest {
    let (kind, _) = action.split_once(':').expect("an action is noun:verb");
    AuthorizationRequest {
        principal: principal(roles),
        action: action.into(),
        resource: Resource { kind: kind.into(), id: None, facts: vec![Fact::boolean("shared", true)] },
        context: vec![Fact::text("address", "10.0.0.1"), Fact::integer("port", 443)],
    }
}

pub(super) fn deployment() -> TargetingDeployment {
    TargetingDeployment {
        id: "dpl_1".into(),
        facts: vec![
            Fact::text("bundle.name", "os"),
            Fact::text("bundle.version", "2.0.0"),
            Fact::texts("bundle.models", vec!["a1".into(), "a2".into()]),
        ],
        created_at_ms: 0,
    }
}

/// Two waves and one exclusion, as the misbehaving guest's.
pub(super) fn plan() -> TargetingPlan {
    TargetingPlan {
        candidates: Vec::new(),
        columns: Vec::new(),
        waves: vec!["wave-0".into(), "wave-1".into()],
        exclusions: vec![kernex_model::policy::Reason::new("as-asked", "as asked")],
    }
}

pub(super) fn batch(devices: u64) -> Batch {
    Batch { device_hashes: (0..devices).collect(), dictionary: Vec::new(), columns: Vec::<Column>::new() }
}

pub(super) fn window(in_wave: Counts) -> Window {
    Window {
        deployment: "dpl_1".into(),
        facts: Vec::new(),
        now_ms: 1_000,
        wave: 0,
        waves: 2,
        wave_opened_at_ms: 0,
        in_wave,
        overall: in_wave,
        failures: vec![kernex_model::policy::FailureSample {
            code: "disk-full".into(),
            count: 1,
            sample: "no space left".into(),
        }],
    }
}

pub(super) fn rollback() -> RollbackRequest {
    RollbackRequest {
        device: "dev_1".into(),
        from_bundle: "bdl_2".into(),
        to_bundle: "bdl_1".into(),
        facts: Vec::new(),
    }
}
