//! Owns replays of plans: each is read with the devices that are kept of it, one after the other.

use std::sync::Arc;

use kernex_model::comparison::{Comparison, Tally};
use kernex_model::id::DecisionId;
use kernex_model::kept::Kept;
use kernex_model::operation::Operation;
use kernex_model::record::Decision;

use super::{Chunk, DecisionExplanation, add, ask, sampled};
use crate::app::policies::ActivePolicy;
use crate::app::policies::again::Unrepeatable;
use crate::app::policies::replanning::{RecordedPlan, Replanned};
use crate::app::{App, AppError};

/// Decisions that are read together; the devices of each come by themselves.
const CHUNK: usize = 100;

impl App {
    pub(super) async fn replay_plans(
        &self,
        candidate: &Arc<ActivePolicy>,
        operation: &mut Operation,
    ) -> Result<(), AppError> {
        let percent = operation.replay.sample_percent;
        let mut tally = Tally::default();
        let mut after = None;
        loop {
            let ids = self.recorded(&operation.replay, after, CHUNK).await?;
            let Some(last) = ids.last() else { break };
            after = Some(*last);
            let taken: Vec<DecisionId> = ids.into_iter().filter(|id| sampled(*id, percent)).collect();
            let mut decisions = self.store.decisions_by_id(&taken).await?;
            decisions.retain(|decision| decision.policy == operation.replay.policy);
            for decision in decisions {
                let chunk = self.ask_for_plan(candidate, decision).await?;
                add(&mut operation.replay, &mut tally, chunk);
                self.tell_progress(operation).await?;
            }
        }
        operation.replay.breakdown = tally.finish();
        Ok(())
    }

    async fn ask_for_plan(&self, candidate: &Arc<ActivePolicy>, decision: Decision) -> Result<Chunk, AppError> {
        let recorded = match decision.kept() {
            Some(kept) => Some(self.recorded_plan(&decision, kept).await?),
            None => None,
        };
        let (candidate, context) = (candidate.clone(), self.context.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let Some(recorded) = recorded else { return ask(&candidate, vec![decision], &context) };
            match recorded.and_then(|recorded| candidate.plan_again(&recorded, &context)) {
                Ok(Replanned { comparison, differences, .. }) => Chunk { comparison, differences },
                Err(_) => {
                    let comparison = Comparison { unrepeatable: 1, ..Comparison::default() };
                    Chunk { comparison, differences: Vec::new() }
                }
            }
        });
        asked.await.map_err(|error| AppError::Internal(error.to_string()))
    }

    async fn recorded_plan(
        &self,
        decision: &Decision,
        kept: Kept,
    ) -> Result<Result<RecordedPlan, Unrepeatable>, AppError> {
        let devices = self.store.kept_devices(decision.id).await?;
        Ok(RecordedPlan::of(decision, kept, devices))
    }

    /// Makes a plan once more, by the plugin and settings that made it.
    pub(super) async fn explain_plan(&self, decision: Decision, kept: Kept) -> Result<DecisionExplanation, AppError> {
        let recorded = match self.recorded_plan(&decision, kept).await? {
            Ok(recorded) => recorded,
            Err(why) => return Ok(DecisionExplanation::unrepeatable(decision, &why)),
        };
        let policy = self.prepared(self.revision_that_made(&decision).await?).await?;
        let context = self.context.clone();
        let again = tokio::task::spawn_blocking(move || policy.plan_again(&recorded, &context)).await;
        Ok(match again.map_err(|error| AppError::Internal(error.to_string()))? {
            Ok(Replanned { comparison, finding, .. }) => {
                let same = comparison.differing == 0;
                DecisionExplanation { decision, again: Some(finding), same, unrepeatable: None }
            }
            Err(why) => DecisionExplanation::unrepeatable(decision, &why),
        })
    }
}
