//! The policies that were prepared last: putting one back into force compiles nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use kernex_model::policy::{Fault, Gate};
use wasmtime::component::InstancePre;

use crate::compile;
use crate::inspect::Inspection;
use crate::policy::Exports;
use crate::renewal::Beginning;
use crate::sandbox::Sandbox;

/// Prepared policies that are kept, whether anybody uses them or not.
const KEPT: usize = 16;

/// What makes a prepared policy: the same three are the same policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) plugin_digest: String,
    pub(crate) settings_digest: String,
    pub(crate) gate: Gate,
}

impl Label {
    /// Under what name its native code is cached, given what that code depends on beside its source.
    pub(crate) fn file_name(&self, compatibility: u64) -> String {
        let Self { plugin_digest, settings_digest, gate } = self;
        compile::digest(format!("{plugin_digest} {settings_digest} {gate} {compatibility:016x}").as_bytes())
    }
}

/// Native code of a configured plugin, and where its functions are.
pub(crate) struct Compiled {
    pub(crate) pre: InstancePre<Sandbox>,
    pub(crate) exports: Exports,
    pub(crate) beginning: Beginning,
}

/// The last ones, newest at the back; and what was found out of bundled plugins, which are few.
#[derive(Default)]
pub(crate) struct Shelf {
    prepared: Mutex<VecDeque<(Label, Arc<Compiled>)>>,
    inspections: Mutex<Vec<Inspection>>,
}

impl Shelf {
    pub(crate) fn find(&self, label: &Label) -> Option<Arc<Compiled>> {
        let mut kept = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(known, _)| known == label)?;
        let found = kept.remove(place)?;
        let compiled = found.1.clone();
        kept.push_back(found);
        Some(compiled)
    }

    pub(crate) fn keep(&self, label: Label, compiled: Arc<Compiled>) {
        let mut kept = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != label);
        kept.push_back((label, compiled));
        while kept.len() > KEPT {
            kept.pop_front();
        }
    }

    /// What was found out of a component; found out now where it is the first time. Others who ask meanwhile wait: to
    /// compile it many times at once would take them longer.
    pub(crate) fn inspected_once(
        &self,
        digest: &str,
        inspect: impl FnOnce() -> Result<Inspection, Fault>,
    ) -> Result<Inspection, Fault> {
        let mut known = self.inspections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.iter().find(|known| known.digest == digest) {
            return Ok(found.clone());
        }
        let found = inspect()?;
        known.push(found.clone());
        Ok(found)
    }
}
