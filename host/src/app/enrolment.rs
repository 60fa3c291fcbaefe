//! Owns how a device comes and goes: enrolment with its key, admission by operators, and its access tokens.

pub mod assertion;
pub mod device_key;

use kernex_model::action::Action;
use kernex_model::attribute::{Facts, Labels, MAX_FACTS, MAX_LABELS};
use kernex_model::device::{Admission, Device, DeviceStatus};
use kernex_model::id::DeviceId;
use kernex_model::name::{DeviceName, ModelName};
use kernex_model::policy::Fact;
use kernex_model::principal::Principal;
use kernex_model::report::{TimelineEntry, TimelineKind};
use kernex_store::{CommitError, DevicePatch};
use secrecy::SecretString;

use assertion::AssertionRefusal;
use device_key::DeviceKey;

use super::identity::access::ACCESS_LIFETIME_S;
use super::identity::attempts::address_key;
use super::{App, AppError, Caller, Grant};
use crate::config::AdmissionRule;

/// Tries at a change of standing that somebody else's edit comes in between of.
const MAX_TRIES: usize = 4;

const KIND: &str = "device";

/// What a device says of itself when it enrols.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// Its public key (PEM).
    pub public_key: String,
    /// What the device calls its key; only for the audit record.
    pub key_id: Option<String>,
    /// Its name.
    pub name: Option<DeviceName>,
    /// Its hardware model.
    pub model: Option<ModelName>,
    /// What else it reports.
    pub facts: Facts,
}

/// A device, and whether it was made just now.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// The device.
    pub device: Device,
    /// Whether there was none with this key before.
    pub new: bool,
}

/// An access token for a device.
#[derive(Debug)]
pub struct DeviceToken {
    /// For `Authorization: Bearer`.
    pub access_token: SecretString,
    /// How long it works, in seconds.
    pub expires_in: u32,
}

impl App {
    /// Enrols a device: the same key again is the same device.
    ///
    /// # Errors
    /// Invalid where the key is of no kind that is taken; forbidden where only keys enrol that were
    /// admitted before; too many requests.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn enrol_device(&self, caller: &Caller, enrolment: Enrolment) -> Result<Enrolled, AppError> {
        let facts = enrolment.model.iter().map(|model| Fact::text("model", model.as_str())).collect();
        let grant = self.gatekeeper.authorize(caller, Action::DeviceEnrol, KIND, None, facts)?;
        self.identity.enrolments.count(&address_key(caller.address))?;
        if enrolment.facts.len() > MAX_FACTS {
            return Err(AppError::field("too-many-facts", "/facts", format!("a device has at most {MAX_FACTS} facts")));
        }
        let key = parse_key(&enrolment.public_key)?;
        if let Some(device) = self.store.device_by_key(key.digest).await? {
            return self.enrolled_before(&grant, device, enrolment).await;
        }
        let status = match self.identity.settings.admission {
            AdmissionRule::Manual => DeviceStatus::Pending,
            AdmissionRule::Automatic => DeviceStatus::Active,
            AdmissionRule::Preauthorized => {
                let detail = "only devices whose key an operator has admitted before may enrol".to_owned();
                return Err(AppError::Forbidden { code: "not-preauthorized", detail });
            }
        };
        let device =
            Device { name: enrolment.name, model: enrolment.model, facts: enrolment.facts, ..self.blank(&key, status) };
        let message = match status {
            DeviceStatus::Active => "enrolled and admitted by the setting `admission`",
            DeviceStatus::Pending | DeviceStatus::Blocked | DeviceStatus::Retired => "enrolled; waits for admission",
        };
        let detail = serde_json::json!({ "key_digest": key.digest, "key_id": enrolment.key_id, "status": status });
        self.keep_device(grant, device, TimelineKind::Enrolled, "enrolled", message, detail).await
    }

    /// What a device tells of itself when an operator admitted its key before it came. Later, its
    /// heartbeats tell.
    async fn enrolled_before(&self, grant: &Grant, device: Device, enrolment: Enrolment) -> Result<Enrolled, AppError> {
        let silent = device.model.is_none() && device.facts.is_empty() && self.fleet.last_seen(device.id).is_none();
        let tells = enrolment.model.is_some() || !enrolment.facts.is_empty();
        if !(silent && tells && device.status == DeviceStatus::Active) {
            return Ok(Enrolled { device: self.seen(device), new: false });
        }
        let now = self.context.now();
        let patch = DevicePatch {
            facts: Some(enrolment.facts.clone()),
            model: Some(enrolment.model.clone()),
            ..DevicePatch::new(device.id, now)
        };
        let mut changes =
            grant.changes(Some(serde_json::json!({ "device_id": device.id, "key_id": enrolment.key_id })));
        changes.patch_device(&patch);
        changes.put(&self.entry(
            device.id,
            TimelineKind::Enrolled,
            "enrolled",
            "enrolled with a key that was admitted before",
        ));
        self.store.commit(changes).await?;
        let device = Device { facts: enrolment.facts, model: enrolment.model, updated_at: now, ..device };
        self.fleet.upsert(&device);
        Ok(Enrolled { device: self.seen(device), new: false })
    }

    /// Admits a key before its device enrols. A device that waits with this key is admitted.
    ///
    /// # Errors
    /// Denied; invalid where the key is of no kind that is taken; a conflict where its device is blocked or
    /// retired.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn preauthorize_device(
        &self,
        caller: &Caller,
        public_key: &str,
        labels: Labels,
        name: Option<DeviceName>,
    ) -> Result<Enrolled, AppError> {
        let facts = labels.iter().map(|(key, value)| Fact::text(key.as_str(), value.as_str())).collect();
        let grant = self.gatekeeper.authorize(caller, Action::DevicePreauthorize, KIND, None, facts)?;
        if labels.len() > MAX_LABELS {
            return Err(AppError::field(
                "too-many-labels",
                "/labels",
                format!("a device has at most {MAX_LABELS} labels"),
            ));
        }
        let key = parse_key(public_key)?;
        let Some(device) = self.store.device_by_key(key.digest).await? else {
            let device = Device { name, labels, ..self.blank(&key, DeviceStatus::Active) };
            let message = format!("admitted by {} before it enrolled", caller.principal);
            let detail = serde_json::json!({ "key_digest": key.digest, "labels": device.labels });
            return self.keep_device(grant, device, TimelineKind::Operator, "preauthorized", &message, detail).await;
        };
        match device.status {
            DeviceStatus::Active => return Ok(Enrolled { device: self.seen(device), new: false }),
            DeviceStatus::Blocked | DeviceStatus::Retired => {
                return Err(AppError::conflict(
                    "device-not-pending",
                    format!("a device with this key is {}", device.status.as_str()),
                ));
            }
            DeviceStatus::Pending => {}
        }
        let mut all = device.labels.clone();
        all.extend(labels);
        let admitted = Device {
            status: DeviceStatus::Active,
            name: name.or(device.name),
            labels: all,
            updated_at: self.context.now(),
            ..device
        };
        let mut changes = grant
            .on(admitted.id)
            .changes(Some(serde_json::json!({ "status": admitted.status, "labels": admitted.labels })));
        changes.update(&admitted);
        changes.put(&self.entry(
            admitted.id,
            TimelineKind::Operator,
            "admitted",
            &format!("admitted by {}", caller.principal),
        ));
        self.store.commit(changes).await?;
        let device = Device { revision: admitted.revision + 1, ..admitted };
        self.fleet.upsert(&device);
        Ok(Enrolled { device: self.seen(device), new: false })
    }

    /// Changes a device's standing. Doing again what is done changes nothing. A blocked or retired device's
    /// tokens stop at once.
    ///
    /// # Errors
    /// Denied, not found; a conflict (`wrong-status`) where the standing does not allow it.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn change_standing(
        &self,
        caller: &Caller,
        id: DeviceId,
        admission: Admission,
    ) -> Result<Device, AppError> {
        let (action, code) = match admission {
            Admission::Admit => (Action::DeviceAdmit, "admitted"),
            Admission::Block => (Action::DeviceBlock, "blocked"),
            Admission::Unblock => (Action::DeviceBlock, "unblocked"),
            Admission::Retire => (Action::DeviceRetire, "retired"),
        };
        let (grant, mut device) = self.device_in_scope(caller, action, id).await?;
        for _ in 0..MAX_TRIES {
            let Some(status) = device.status.after(admission) else {
                let detail = format!("a device that is {} cannot be {code}", device.status.as_str());
                return Err(AppError::conflict("wrong-status", detail));
            };
            if status == device.status {
                return Ok(self.seen(device));
            }
            let changed = Device { status, updated_at: self.context.now(), ..device };
            let mut changes = grant.changes(Some(serde_json::json!({ "status": status })));
            changes.update(&changed);
            changes.put(&self.entry(id, TimelineKind::Operator, code, &format!("{code} by {}", caller.principal)));
            match self.store.commit(changes).await {
                Ok(()) => {
                    let changed = Device { revision: changed.revision + 1, ..changed };
                    self.fleet.upsert(&changed);
                    return Ok(self.seen(changed));
                }
                // Labels were edited in between: that does not matter here.
                Err(CommitError::Conflict { .. }) => {
                    device = self.store.device(id).await?.ok_or(AppError::NotFound(KIND))?
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(AppError::Busy)
    }

    /// An access token for a device that proves with an assertion that it has its key (RFC 7523).
    ///
    /// # Errors
    /// Unauthenticated where the assertion is not good; forbidden where the device is not active.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn issue_device_token(&self, caller: &Caller, assertion: &str) -> Result<DeviceToken, AppError> {
        let refused = |refusal: AssertionRefusal| match refusal {
            AssertionRefusal::Invalid => AppError::unauthenticated("invalid-assertion", refusal.to_string()),
            AssertionRefusal::Time => AppError::unauthenticated("assertion-time", refusal.to_string()),
            AssertionRefusal::Unnamed => AppError::unauthenticated("assertion-unnamed", refusal.to_string()),
            AssertionRefusal::Replayed => AppError::unauthenticated("assertion-replayed", refusal.to_string()),
        };
        let claimed = assertion::claimed_device(assertion);
        self.gatekeeper.authorize(caller, Action::DeviceToken, KIND, claimed.map(|id| id.to_string()), Vec::new())?;
        let id = claimed.ok_or_else(|| refused(AssertionRefusal::Invalid))?;
        let device = self.store.device(id).await?.ok_or_else(|| refused(AssertionRefusal::Invalid))?;
        let key = DeviceKey::parse(&device.public_key)
            .map_err(|error| AppError::Internal(format!("the key of {id}: {error}")))?;
        let now = self.context.now();
        let checked = assertion::check(assertion, id, &key, &self.identity.server_name, now).map_err(refused)?;
        if !self.store.use_assertion(checked.name, checked.ends).await? {
            return Err(refused(AssertionRefusal::Replayed));
        }
        let code = match device.status {
            DeviceStatus::Active => None,
            DeviceStatus::Pending => Some("device-pending"),
            DeviceStatus::Blocked => Some("device-blocked"),
            DeviceStatus::Retired => Some("device-retired"),
        };
        if let Some(code) = code {
            return Err(AppError::Forbidden { code, detail: format!("the device is {}", device.status.as_str()) });
        }
        let access_token = self
            .identity
            .access
            .issue(Principal::Device(id), None, self.context.ulid(), now, now.plus_secs(ACCESS_LIFETIME_S))
            .map_err(|error| AppError::Internal(format!("cannot sign a token: {error}")))?;
        Ok(DeviceToken { access_token: access_token.into(), expires_in: ACCESS_LIFETIME_S })
    }

    async fn keep_device(
        &self,
        grant: Grant,
        device: Device,
        kind: TimelineKind,
        code: &str,
        message: &str,
        detail: serde_json::Value,
    ) -> Result<Enrolled, AppError> {
        let mut changes = grant.on(device.id).changes(Some(detail));
        changes.create(&device);
        changes.put(&self.entry(device.id, kind, code, message));
        match self.store.commit(changes).await {
            Ok(()) => {
                self.fleet.upsert(&device);
                Ok(Enrolled { device, new: true })
            }
            // Twice at once: the other one made it.
            Err(CommitError::Exists { .. }) => {
                let device = self.store.device_by_key(device.key_digest).await?.ok_or(AppError::Busy)?;
                Ok(Enrolled { device: self.seen(device), new: false })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn blank(&self, key: &DeviceKey, status: DeviceStatus) -> Device {
        let now = self.context.now();
        Device {
            id: DeviceId(self.context.ulid()),
            name: None,
            model: None,
            status,
            labels: Labels::new(),
            facts: Facts::new(),
            key_digest: key.digest,
            public_key: key.pem.clone(),
            bundle_id: None,
            verified_bundle_id: None,
            config_version: None,
            last_seen_at: None,
            created_at: now,
            updated_at: now,
            revision: 1,
        }
    }

    /// One entry of a device's timeline, of this moment.
    pub(super) fn entry(&self, device_id: DeviceId, kind: TimelineKind, code: &str, message: &str) -> TimelineEntry {
        // The low bits of an identifier tell entries of one millisecond apart.
        let sequence = (self.context.ulid().0 & u128::from(u32::MAX)) as u32;
        let (code, message) = (code.to_owned(), message.to_owned());
        TimelineEntry {
            device_id,
            at: self.context.now(),
            sequence,
            kind,
            code,
            message,
            deployment_id: None,
            decision_id: None,
        }
    }

    fn seen(&self, device: Device) -> Device {
        Device { last_seen_at: self.fleet.last_seen(device.id), ..device }
    }
}

fn parse_key(pem: &str) -> Result<DeviceKey, AppError> {
    DeviceKey::parse(pem).map_err(|refusal| AppError::field("invalid-public-key", "/public_key", refusal.to_string()))
}
