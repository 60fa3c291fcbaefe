//! Owns the way back in: the bundled authorization policy alone made active again, whatever was active before.

use kernex_engine::Engine;
use kernex_model::document::PolicyRevision;
use kernex_model::record::DecisionGate;
use kernex_model::redaction::{MAX_SECRET_FACTS, SecretFact};
use kernex_store::{Changes, Store};

use super::{Policies, PolicyError, bundled, lifecycle};
use crate::app::Context;

impl Policies {
    /// Installs the bundled authorization policy as a new revision and retires what decided before. Only for
    /// the command line on the machine itself: whoever may do this may do everything.
    ///
    /// # Errors
    /// [`PolicyError`]; where it failed in its middle, calling it again goes on.
    pub async fn restore_authorization(
        engine: &Engine,
        store: &Store,
        context: &Context,
    ) -> Result<PolicyRevision, PolicyError> {
        let mut bundled_one = None;
        for document in bundled::documents(context) {
            let revision = document?;
            if revision.gate == DecisionGate::Authorization {
                bundled_one = Some(revision);
            }
        }
        let bundled_one = bundled_one.ok_or(PolicyError::Missing(DecisionGate::Authorization))?;
        let head = store.policy(&bundled_one.name).await?;
        let newest = store.newest_policy_revision(&bundled_one.name).await?;
        let secret_facts = secrets(store).await?;
        let revision = PolicyRevision { revision: newest + 1, secret_facts, ..bundled_one };
        let restored = bundled::activate(engine, store, context, head, revision).await?;
        for mut other in store.policies().await? {
            if other.gate == DecisionGate::Authorization && other.name != restored.name && other.active.is_some() {
                let mut changes = Changes::new(&lifecycle::by_the_host(context, &other.name, "retired by a restore"));
                other.retire(context.now());
                changes.update(&other);
                store.commit(changes).await?;
            }
        }
        Ok(restored)
    }
}

/// What those who decided up to now keep secret: a way back in is no reason to write it down from here on.
async fn secrets(store: &Store) -> Result<Vec<SecretFact>, PolicyError> {
    let mut secrets: Vec<SecretFact> = Vec::new();
    for head in store.policies().await? {
        let Some(active) = head.active.filter(|_| head.gate == DecisionGate::Authorization) else { continue };
        let revision = store.policy_revision(&head.name, active).await?;
        secrets.extend(revision.map(|revision| revision.secret_facts).unwrap_or_default());
    }
    secrets.sort_unstable();
    secrets.dedup();
    secrets.truncate(MAX_SECRET_FACTS);
    Ok(secrets)
}
