//! Owns the way back in: the bundled authorization policy made active again, whatever was active before.

use kernex_model::document::PolicyRevision;
use kernex_model::record::DecisionGate;
use kernex_store::Store;

use super::{DOCUMENTS, Policies, PolicyError, first_revision, install};
use crate::app::Context;

impl Policies {
    /// Installs the bundled authorization policy as a new revision and retires what decided before. Only for
    /// the command line on the machine itself: whoever may do this may do everything.
    ///
    /// # Errors
    /// [`PolicyError`]; then nothing has changed.
    pub async fn restore_authorization(store: &Store, context: &Context) -> Result<PolicyRevision, PolicyError> {
        let mut active = store.active_policies().await?;
        active.retain(|revision| revision.gate == DecisionGate::Authorization);
        for (path, text) in DOCUMENTS {
            let bundled = first_revision(path, text, context)?;
            if bundled.gate == DecisionGate::Authorization {
                let newest = store.policy_revisions(&bundled.name).await?.first().map_or(0, |newest| newest.revision);
                return install(store, context, PolicyRevision { revision: newest + 1, ..bundled }, &active).await;
            }
        }
        Err(PolicyError::Missing(DecisionGate::Authorization))
    }
}
