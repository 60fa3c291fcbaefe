//! Facts that cost nothing until a plugin asks for them.

use std::sync::Arc;

use kernex_model::policy::Value;

/// Where a fact is looked up that was not sent along with the question. Cheap to clone.
#[derive(Clone)]
pub struct FactSource(Arc<Find>);

type Find = dyn Fn(&str) -> Option<Value> + Send + Sync;

impl FactSource {
    /// Facts that `find` gives by their names. It should be quick: the plugin's deadline is running.
    #[must_use]
    pub fn new(find: impl Fn(&str) -> Option<Value> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    pub(crate) fn find(&self, name: &str) -> Option<Value> {
        (self.0)(name)
    }
}

impl std::fmt::Debug for FactSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FactSource")
    }
}
