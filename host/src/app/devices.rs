//! Owns what operators see and edit of devices: lists, labels and names, bundle history; and who may see which.

use std::collections::BTreeMap;

use kernex_model::action::Action;
use kernex_model::attribute::{LabelKey, LabelValue, MAX_LABELS};
use kernex_model::bundle::BundleHistoryEntry;
use kernex_model::device::{Device, DeviceAttributes, DeviceStatus};
use kernex_model::id::DeviceId;
use kernex_model::name::{BundleName, BundleVersion, DeviceName};
use kernex_model::policy::Fact;
use kernex_model::report::TimelineKind;
use kernex_model::selector::Selector;
use kernex_model::time::Timestamp;
use kernex_store::{DeviceFilter, Listed, Page};

use super::filling::Filling;
use super::{App, AppError, Caller, Grant, Scope};

/// What the resource is called in policies and audit records.
const KIND: &str = "device";

/// Which devices a list shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeviceQuery {
    /// Those that match.
    pub selector: Option<Selector>,
    /// Those of this standing.
    pub status: Option<DeviceStatus>,
    /// Those that sent no heartbeat since then, or never any.
    pub seen_before: Option<Timestamp>,
}

/// What an edit does to one thing.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Edit<T> {
    /// Nothing.
    #[default]
    Keep,
    /// Takes it away.
    Clear,
    /// Sets it.
    Set(T),
}

/// An operator's edit of a device: a merge patch (RFC 7396).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeviceEdit {
    /// Its name.
    pub name: Edit<DeviceName>,
    /// Its labels: those that are named are set or, with `None`, taken away; the others stay.
    pub labels: Edit<BTreeMap<LabelKey, Option<LabelValue>>>,
}

impl DeviceEdit {
    /// The device after the edit.
    fn apply(self, device: &Device) -> Result<Device, AppError> {
        let mut edited = device.clone();
        match self.name {
            Edit::Keep => {}
            Edit::Clear => edited.name = None,
            Edit::Set(name) => edited.name = Some(name),
        }
        match self.labels {
            Edit::Keep => {}
            Edit::Clear => edited.labels.clear(),
            Edit::Set(labels) => {
                for (key, value) in labels {
                    match value {
                        Some(value) => drop(edited.labels.insert(key, value)),
                        None => drop(edited.labels.remove(&key)),
                    }
                }
            }
        }
        if edited.labels.len() > MAX_LABELS {
            return Err(AppError::field(
                "too-many-labels",
                "/labels",
                format!("a device has at most {MAX_LABELS} labels"),
            ));
        }
        Ok(edited)
    }
}

/// What a policy is told of a device, by the keys that selectors use. `bundle` is what its bundle is called.
#[must_use]
pub fn device_facts(device: &Device, bundle: Option<(&BundleName, &BundleVersion)>) -> Vec<Fact> {
    DeviceAttributes { device, bundle }.to_facts()
}

/// Whether a device that was last seen `seen` was silent since `moment`.
fn silent_since(seen: Option<Timestamp>, moment: Timestamp) -> bool {
    seen.is_none_or(|seen| seen < moment)
}

impl App {
    /// Lists devices in the order in which they enrolled; the caller sees those in its scope. A page may be
    /// short and have a next one.
    ///
    /// # Errors
    /// Denied, or a cursor of another list.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_devices(
        &self,
        caller: &Caller,
        query: &DeviceQuery,
        page: Page,
    ) -> Result<Listed<Device>, AppError> {
        let grant = self.gatekeeper.authorize(caller, Action::DeviceList, KIND, None, Vec::new())?;
        let scope = self.gatekeeper.scope(&grant, KIND)?;
        if scope == Scope::Nothing {
            return Ok(Listed { items: Vec::new(), next: None });
        }
        let filter = DeviceFilter { selector: query.selector.as_ref(), scope: scope.selector(), status: query.status };
        let mut filling = Filling::new(page);
        while let Some(page) = filling.wanted() {
            let mut listed = self.store.list_devices(filter, &|id| self.bundle_name(id), &page).await?;
            for device in &mut listed.items {
                device.last_seen_at = self.fleet.last_seen(device.id);
            }
            filling.take(listed, |device| {
                query.seen_before.is_none_or(|moment| silent_since(device.last_seen_at, moment))
            });
        }
        Ok(filling.listed())
    }

    /// One device.
    ///
    /// # Errors
    /// Denied; not found, also outside the caller's scope.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn get_device(&self, caller: &Caller, id: DeviceId) -> Result<Device, AppError> {
        let (_, device) = self.device_in_scope(caller, Action::DeviceRead, id).await?;
        Ok(self.with_presence(device))
    }

    /// Edits a device's labels and name. `revision` is the one that the caller read.
    ///
    /// # Errors
    /// Denied, not found, [`AppError::PreconditionRequired`], [`AppError::Stale`], too many labels.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn update_device(
        &self,
        caller: &Caller,
        id: DeviceId,
        revision: Option<u64>,
        edit: DeviceEdit,
    ) -> Result<Device, AppError> {
        let (grant, device) = self.device_in_scope(caller, Action::DeviceUpdate, id).await?;
        if revision.ok_or(AppError::PreconditionRequired)? != device.revision {
            return Err(AppError::Stale);
        }
        let edited = edit.apply(&device)?;
        if edited == device {
            return Ok(self.with_presence(device));
        }
        let edited = Device { updated_at: self.context.now(), ..edited };
        let mut changes = grant.changes(Some(serde_json::json!({ "name": edited.name, "labels": edited.labels })));
        changes.update(&edited);
        let message = format!("{} edited its name or labels", caller.principal);
        changes.put(&self.entry(id, TimelineKind::Operator, "edited", &message));
        self.store.commit(changes).await?;
        let edited = Device { revision: edited.revision + 1, ..edited };
        self.fleet.upsert(&edited);
        Ok(self.with_presence(edited))
    }

    /// What a device ran, newest first.
    ///
    /// # Errors
    /// Denied; not found, also outside the caller's scope.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_device_bundles(
        &self,
        caller: &Caller,
        id: DeviceId,
        page: &Page,
    ) -> Result<Listed<BundleHistoryEntry>, AppError> {
        self.device_in_scope(caller, Action::DeviceRead, id).await?;
        Ok(self.store.bundle_history(id, page).await?)
    }

    /// A device that the caller may do `action` to, and the leave to do it. Where the caller may do it to
    /// some devices only, the others do not exist for it.
    ///
    /// # Errors
    /// Denied or not found.
    pub(super) async fn device_in_scope(
        &self,
        caller: &Caller,
        action: Action,
        id: DeviceId,
    ) -> Result<(Grant, Device), AppError> {
        // Read before the policy is asked, because the answer may depend on its labels.
        let device = self.store.device(id).await?;
        let facts = device.as_ref().map(|device| {
            let bundle = device.bundle_id.and_then(|bundle| self.bundle_name(bundle));
            device_facts(device, bundle.as_ref().map(|(name, version)| (name, version)))
        });
        match self.gatekeeper.authorize(caller, action, KIND, Some(id.to_string()), facts.unwrap_or_default()) {
            Ok(grant) => Ok((grant, device.ok_or(AppError::NotFound(KIND))?)),
            Err(denied) => match self.gatekeeper.scope_of_denied(caller, action, KIND)? {
                Scope::Matching(_) => Err(AppError::NotFound(KIND)),
                Scope::All | Scope::Nothing => Err(denied),
            },
        }
    }

    fn with_presence(&self, device: Device) -> Device {
        Device { last_seen_at: self.fleet.last_seen(device.id), ..device }
    }
}

#[cfg(test)]
mod tests {
    use kernex_model::selector::Attributes as _;

    use super::*;

    fn device() -> Device {
        let json = serde_json::json!({
            "id": "dev_01JD5Z8Q0V3W4X5Y6Z7A8B9C0D", "name": "gate 7", "model": null, "status": "active",
            "labels": { "channel": "stable", "legacy": "yes" }, "facts": {}, "key_digest": "0".repeat(64), "public_key": "",
            "bundle_id": null, "verified_bundle_id": null, "config_version": null,
            "created_at": "2026-11-21T15:00:00Z", "updated_at": "2026-11-21T15:00:00Z", "revision": 1
        });
        serde_json::from_value(json).expect("a device's own form")
    }

    fn labels(pairs: &[(&str, Option<&str>)]) -> Edit<BTreeMap<LabelKey, Option<LabelValue>>> {
        let parse = |(key, value): &(&str, Option<&str>)| {
            (key.parse().expect("a key"), value.map(|value| value.parse().expect("a value")))
        };
        Edit::Set(pairs.iter().map(parse).collect())
    }

    #[test]
    fn an_edit_is_a_merge_patch() {
        let before = device();
        let edit = DeviceEdit {
            name: Edit::Keep,
            labels: labels(&[("channel", Some("beta")), ("legacy", None), ("gone", None)]),
        };
        let after = edit.apply(&before).expect("within the limit");
        assert_eq!(serde_json::to_value(&after.labels).expect("labels"), serde_json::json!({ "channel": "beta" }));
        assert_eq!(after.name, before.name);
        let cleared = DeviceEdit { name: Edit::Clear, labels: Edit::Clear }.apply(&before).expect("within the limit");
        assert!(cleared.name.is_none() && cleared.labels.is_empty());
        assert_eq!(DeviceEdit::default().apply(&before).expect("within the limit"), before);
    }

    #[test]
    fn labels_have_a_limit() {
        let keys: Vec<String> = (0..MAX_LABELS).map(|n| format!("k{n}")).collect();
        let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), Some("v"))).collect();
        let edit =
            |pairs: &[(&str, Option<&str>)]| DeviceEdit { name: Edit::Keep, labels: labels(pairs) }.apply(&device());
        assert!(edit(&pairs[..MAX_LABELS - 2]).is_ok());
        assert!(matches!(edit(&pairs), Err(AppError::Invalid { code: "too-many-labels", .. })));
    }

    #[test]
    fn a_policy_is_told_of_a_device_by_the_keys_of_selectors() {
        let mut device = device();
        device
            .facts
            .insert("os".parse().expect("a name"), kernex_model::attribute::FactValue::Text("linux".to_owned()));
        let named = ("gateway-os".parse().expect("a name"), "1.0.0".parse().expect("a version"));
        let bundle = Some((&named.0, &named.1));
        let facts = device_facts(&device, bundle);
        let attributes = DeviceAttributes { device: &device, bundle };
        for key in ["channel", "legacy", "fact.os", "bundle.name", "bundle.version"] {
            let texts = attributes.texts(key).expect(key);
            assert!(facts.contains(&Fact::text(key, texts[0].clone())), "{key}: {facts:?}");
        }
        assert!(device_facts(&device, None).iter().all(|fact| !fact.name.starts_with("bundle.")));
    }

    #[test]
    fn a_device_that_never_called_was_silent() {
        let moment = Timestamp::from_millis(1_000);
        assert!(silent_since(None, moment));
        assert!(silent_since(Some(Timestamp::from_millis(999)), moment));
        assert!(!silent_since(Some(moment), moment));
    }
}
