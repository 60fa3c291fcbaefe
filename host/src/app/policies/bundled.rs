//! Owns what comes with this program: the policy documents of `policies/` and the plugins that they name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use kernex_engine::{Engine, Inspection};
use kernex_model::action::Action;
use kernex_model::digest::Digest;
use kernex_model::document::{ActionPattern, Policy, PolicyRevision};
use kernex_model::id::AuditId;
use kernex_model::name::PolicyName;
use kernex_model::plugin::Plugin;
use kernex_model::policy::Fault;
use kernex_model::principal::Principal;
use kernex_model::record::{AuditRecord, DecisionGate};
use kernex_store::{Changes, Store, StoreError};
use poem_openapi::types::Any;

use super::written::Document;
use super::{PolicyError, decision_gate};
use crate::app::context::Context;

/// The documents of `policies/`, as they were when this program was built.
const DOCUMENTS: [(&str, &str); 3] = [
    ("policies/rbac.toml", include_str!("../../../../policies/rbac.toml")),
    ("policies/rings.toml", include_str!("../../../../policies/rings.toml")),
    ("policies/guardian.toml", include_str!("../../../../policies/guardian.toml")),
];

/// The bundled plugins by digest.
static COMPONENTS: LazyLock<BTreeMap<Digest, kernex_plugins::BundledPlugin>> =
    LazyLock::new(|| kernex_plugins::ALL.into_iter().map(|plugin| (Digest::of(plugin.bytes), plugin)).collect());

/// The bytes of the bundled plugin with this digest.
pub(super) fn component(digest: Digest) -> Option<&'static [u8]> {
    COMPONENTS.get(&digest).map(|plugin| plugin.bytes)
}

/// The bytes of a bundled plugin that is not in the store yet. It has to be there beside the first revision that uses
/// it: a later program may bring another build.
pub(super) async fn unkept(store: &Store, digest: Digest) -> Result<Option<&'static [u8]>, StoreError> {
    if let Some(bytes) = component(digest)
        && store.plugin(digest).await?.is_none()
    {
        return Ok(Some(bytes));
    }
    Ok(None)
}

/// Digests of all bundled plugins.
pub(in crate::app) fn digests() -> impl Iterator<Item = Digest> {
    COMPONENTS.keys().copied()
}

/// Whether a policy of this name comes with this program: it is its gate's default.
pub(super) fn is_default(name: &PolicyName) -> bool {
    matches!(name.as_str(), "rbac" | "rings" | "guardian")
}

fn digest_of(plugin: &str) -> Option<Digest> {
    COMPONENTS.iter().find(|(_, bundled)| bundled.name == plugin).map(|(digest, _)| *digest)
}

/// The first revisions of the documents, as they would be installed.
pub(super) fn documents(context: &Context) -> impl Iterator<Item = Result<PolicyRevision, PolicyError>> {
    DOCUMENTS.into_iter().map(move |(path, text)| first_revision(path, text, context))
}

fn first_revision(path: &'static str, text: &str, context: &Context) -> Result<PolicyRevision, PolicyError> {
    let failed = |reason: String| PolicyError::Document { document: path, reason };
    let document: Document = text.parse().map_err(|error: toml::de::Error| failed(error.to_string()))?;
    let settings = serde_json::Value::Object(document.settings);
    let plugin_digest =
        digest_of(&document.plugin).ok_or_else(|| failed(format!("there is no plugin `{}`", document.plugin)))?;
    Ok(PolicyRevision {
        name: document.name,
        revision: 1,
        gate: document.gate,
        plugin: document.plugin,
        plugin_digest,
        settings_digest: Digest::of(settings.to_string().as_bytes()),
        settings: Any(settings),
        instances: document.instances,
        actions: match document.gate {
            DecisionGate::Authorization if document.actions.is_empty() => vec![ActionPattern::any()],
            DecisionGate::Authorization | DecisionGate::Targeting | DecisionGate::Rollback => document.actions,
        },
        secret_facts: document.secret_facts,
        created_by: Principal::System,
        created_at: context.now(),
    })
}

/// Installs the documents where there is no policy yet. Where there are, a policy whose plugin came with an earlier
/// build of this program gets a new revision with this build's.
pub(super) async fn install(engine: &Engine, store: &Store, context: &Context) -> Result<(), PolicyError> {
    let heads = store.policies().await?;
    if heads.is_empty() {
        for document in documents(context) {
            activate(engine, store, context, None, document?).await?;
        }
        return Ok(());
    }
    for head in heads {
        let Some(number) = head.active else { continue };
        let missing = || PolicyError::NoRevision { policy: head.name.clone(), revision: number };
        let active = store.policy_revision(&head.name, number).await?.ok_or_else(missing)?;
        // Bytes that somebody uploaded are theirs: another build takes over only from another build.
        let uploaded = store.plugin(active.plugin_digest).await?.is_some_and(|plugin| !plugin.bundled);
        let Some(present) = digest_of(&active.plugin).filter(|_| !uploaded) else { continue };
        if present == active.plugin_digest {
            continue;
        }
        let successor = PolicyRevision {
            revision: store.newest_policy_revision(&head.name).await? + 1,
            plugin_digest: present,
            created_by: Principal::System,
            created_at: context.now(),
            ..active
        };
        activate(engine, store, context, Some(head), successor).await?;
    }
    Ok(())
}

/// Keeps a revision that decides from here on, with its plugin: an older program's must be there to go back to.
/// `head` is the policy, where there is one already.
pub(super) async fn activate(
    engine: &Engine,
    store: &Store,
    context: &Context,
    head: Option<Policy>,
    revision: PolicyRevision,
) -> Result<PolicyRevision, PolicyError> {
    let mut changes = Changes::new(&AuditRecord {
        id: AuditId(context.ulid()),
        at: context.now(),
        principal: Principal::System,
        action: Action::PolicyInstall,
        resource_kind: "policy".to_owned(),
        resource_id: Some(revision.name.to_string()),
        decision_id: None,
        decision_ids: Vec::new(),
        request_id: None,
        address: None,
        detail: Some(Any(
            serde_json::json!({ "revision": revision.revision, "plugin_digest": revision.plugin_digest }),
        )),
    });
    if let Some(bytes) = unkept(store, revision.plugin_digest).await? {
        let failed = |fault: Fault| PolicyError::Prepare { policy: revision.name.clone(), cause: fault.into() };
        changes.add_plugin(&described(engine, bytes, context).await.map_err(failed)?, bytes);
    }
    changes.create(&revision);
    let now = context.now();
    match head {
        None => {
            let mut head = Policy::new(revision.name.clone(), revision.gate, now);
            head.activate(revision.revision, now);
            changes.create(&head);
        }
        Some(mut head) => {
            head.activate(revision.revision, now);
            changes.update(&head);
        }
    }
    store.commit(changes).await?;
    Ok(revision)
}

/// What is known of a bundled plugin.
pub(super) async fn described(engine: &Engine, bytes: &'static [u8], context: &Context) -> Result<Plugin, Fault> {
    let engine = engine.clone();
    let inspected = tokio::task::spawn_blocking(move || engine.inspect_trusted(bytes)).await;
    let inspection = inspected.unwrap_or_else(|error| Err(Fault::Unavailable(error.to_string())))?;
    Ok(plugin(inspection, bytes, context))
}

/// The record of a bundled plugin.
pub(in crate::app) fn plugin(inspection: Inspection, bytes: &[u8], context: &Context) -> Plugin {
    Plugin {
        digest: Digest::of(bytes),
        name: inspection.manifest.name,
        version: inspection.manifest.version,
        summary: inspection.manifest.summary,
        gates: inspection.gates.into_iter().map(decision_gate).collect(),
        imports: inspection.imports,
        settings_schema: Any(inspection.manifest.settings_schema),
        size: bytes.len() as u64,
        bundled: true,
        signed_by: None,
        created_by: Principal::System,
        created_at: context.now(),
    }
}
