//! Owns how questions are written in case files, and what becomes of them: the model's own questions.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernex_model::attribute::FactValue;
use kernex_model::policy::{
    AuthorizationRequest, Counts, Fact, FailureSample, Gate, PolicyPrincipal, PrincipalKind, Resource, RollbackRequest,
    TargetingDeployment, Window,
};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Deployments that a file does not name.
const DEPLOYMENT: &str = "dep_1";
/// What stands in front of the name of a fact that a device reports; all else that is known of it is text.
const REPORTED: &str = "fact.";

/// A question to a plugin, and what it may look up meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inquiry {
    /// The question.
    pub(crate) question: Question,
    /// For `facts::get`.
    pub(crate) facts: Vec<Fact>,
}

/// One of the questions that a gate is asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Question {
    /// Authorization: may somebody do something?
    Check { request: AuthorizationRequest },
    /// Authorization: what does a list show?
    Scope { principal: PolicyPrincipal, action: String, resource_kind: String },
    /// Targeting: which devices, columns and waves?
    Survey { deployment: TargetingDeployment },
    /// Targeting: what becomes of these devices?
    Classify { deployment: TargetingDeployment, devices: Vec<Device> },
    /// Rollback: how is it going? One window after the other, with the state carried on.
    Judge { windows: Vec<Window>, state: Vec<u8> },
    /// Rollback: may one device go back?
    Permit { request: RollbackRequest },
}

/// A device as a targeting policy sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Device {
    /// Its hash in the deployment.
    pub(crate) hash: u64,
    /// By the names that selectors use.
    pub(crate) facts: BTreeMap<String, FactValue>,
}

impl Question {
    /// The gate that is asked.
    pub(crate) fn gate(&self) -> Gate {
        match self {
            Self::Check { .. } | Self::Scope { .. } => Gate::Authorization,
            Self::Survey { .. } | Self::Classify { .. } => Gate::Targeting,
            Self::Judge { .. } | Self::Permit { .. } => Gate::Rollback,
        }
    }

    /// What it is called in case files.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Check { .. } => "check",
            Self::Scope { .. } => "scope",
            Self::Survey { .. } => "survey",
            Self::Classify { .. } => "classify",
            Self::Judge { .. } => "judge",
            Self::Permit { .. } => "permit",
        }
    }
}

/// Named values as they are written: a map.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(pub(super) Vec<Fact>);

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = values(deserializer)?.into_iter();
        Ok(Self(values.map(|(name, value)| Fact { name, value: value.to_policy() }).collect()))
    }
}

fn values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, FactValue>, D::Error> {
    let written = BTreeMap::<String, Value>::deserialize(deserializer)?;
    let fact = |(name, value): (String, Value)| match serde_json::from_value(value) {
        Ok(FactValue::Real(number)) if !number.is_finite() => Err(D::Error::custom(format!("`{name}` is infinite"))),
        Ok(value) => Ok((name, value)),
        Err(_) => Err(D::Error::custom(format!(
            "the fact `{name}` is no text, whole number of 64 bits, number, true or false, or list of texts"
        ))),
    };
    written.into_iter().map(fact).collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalText {
    kind: PrincipalKind,
    #[serde(default)]
    id: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    facts: Known,
}

impl PrincipalText {
    fn principal(self) -> PolicyPrincipal {
        PolicyPrincipal { kind: self.kind, id: self.id, roles: self.roles, facts: self.facts.0 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceText {
    kind: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    facts: Known,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckText {
    principal: PrincipalText,
    action: String,
    resource: ResourceText,
    #[serde(default)]
    context: Known,
}

impl CheckText {
    pub(super) fn question(self) -> Question {
        let ResourceText { kind, id, facts } = self.resource;
        Question::Check {
            request: AuthorizationRequest {
                principal: self.principal.principal(),
                action: self.action,
                resource: Resource { kind, id, facts: facts.0 },
                context: self.context.0,
            },
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScopeText {
    principal: PrincipalText,
    action: String,
    resource_kind: String,
}

impl ScopeText {
    pub(super) fn question(self) -> Question {
        let Self { principal, action, resource_kind } = self;
        Question::Scope { principal: principal.principal(), action, resource_kind }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeploymentText {
    #[serde(default = "deployment")]
    id: String,
    #[serde(default)]
    created_at_ms: u64,
    #[serde(default)]
    facts: Known,
}

fn deployment() -> String {
    DEPLOYMENT.to_owned()
}

impl DeploymentText {
    fn deployment(self) -> TargetingDeployment {
        TargetingDeployment { id: self.id, facts: self.facts.0, created_at_ms: self.created_at_ms }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SurveyText {
    deployment: DeploymentText,
}

impl SurveyText {
    pub(super) fn question(self) -> Question {
        Question::Survey { deployment: self.deployment.deployment() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceText {
    hash: u64,
    #[serde(default, deserialize_with = "values")]
    facts: BTreeMap<String, FactValue>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClassifyText {
    deployment: DeploymentText,
    devices: Vec<DeviceText>,
}

impl ClassifyText {
    pub(super) fn question(self) -> Result<Question, String> {
        let device = |DeviceText { hash, facts }: DeviceText| {
            for (name, value) in &facts {
                if !name.starts_with(REPORTED) && !matches!(value, FactValue::Text(_)) {
                    return Err(format!(
                        "`{name}` of a device is a text on a server: write it in quotes, or as `{REPORTED}{name}` \
                         if devices report it"
                    ));
                }
            }
            Ok(Device { hash, facts })
        };
        let devices = self.devices.into_iter().map(device).collect::<Result<_, _>>()?;
        Ok(Question::Classify { deployment: self.deployment.deployment(), devices })
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CountsText {
    assigned: u32,
    offered: u32,
    running: u32,
    installed: u32,
    verified: u32,
    failed: u32,
    timed_out: u32,
    rolled_back: u32,
}

impl CountsText {
    fn counts(self) -> Counts {
        let Self { assigned, offered, running, installed, verified, failed, timed_out, rolled_back } = self;
        Counts { assigned, offered, running, installed, verified, failed, timed_out, rolled_back }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowText {
    #[serde(default = "deployment")]
    deployment: String,
    #[serde(default)]
    facts: Known,
    #[serde(default)]
    now_ms: u64,
    #[serde(default)]
    wave: u32,
    #[serde(default = "one")]
    waves: u32,
    #[serde(default)]
    wave_opened_at_ms: u64,
    #[serde(default)]
    in_wave: CountsText,
    /// Those of the wave where it is left out: a deployment of one wave.
    #[serde(default)]
    overall: Option<CountsText>,
    #[serde(default)]
    failures: Vec<FailureSample>,
}

fn one() -> u32 {
    1
}

impl WindowText {
    fn window(self) -> Window {
        Window {
            deployment: self.deployment,
            facts: self.facts.0,
            now_ms: self.now_ms,
            wave: self.wave,
            waves: self.waves,
            wave_opened_at_ms: self.wave_opened_at_ms,
            in_wave: self.in_wave.counts(),
            overall: self.overall.unwrap_or(self.in_wave).counts(),
            failures: self.failures,
        }
    }
}

/// One window with its state, or several, one after the other.
#[derive(Debug)]
pub(super) enum JudgeText {
    One(OneWindow),
    Sequence(Vec<WindowText>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneWindow {
    window: WindowText,
    /// The last outcome's state, in base64.
    #[serde(default)]
    state: String,
}

impl<'de> Deserialize<'de> for JudgeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JudgeVisitor)
    }
}

/// A visitor rather than an untagged enum, so that an error says what is wrong inside, and where.
struct JudgeVisitor;

impl<'de> Visitor<'de> for JudgeVisitor {
    type Value = JudgeText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`window` and `state`, or a list of windows")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<JudgeText, A::Error> {
        OneWindow::deserialize(MapAccessDeserializer::new(map)).map(JudgeText::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<JudgeText, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(JudgeText::Sequence)
    }
}

impl JudgeText {
    pub(super) fn question(self) -> Result<Question, String> {
        match self {
            Self::One(OneWindow { window, state }) => {
                let state = STANDARD.decode(state.trim()).map_err(|_| "`state` is no base64".to_owned())?;
                Ok(Question::Judge { windows: vec![window.window()], state })
            }
            Self::Sequence(windows) => {
                let windows = windows.into_iter().map(WindowText::window).collect();
                Ok(Question::Judge { windows, state: Vec::new() })
            }
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PermitText {
    device: String,
    from_bundle: String,
    to_bundle: String,
    #[serde(default)]
    facts: Known,
}

impl PermitText {
    pub(super) fn question(self) -> Question {
        let Self { device, from_bundle, to_bundle, facts } = self;
        Question::Permit { request: RollbackRequest { device, from_bundle, to_bundle, facts: facts.0 } }
    }
}
