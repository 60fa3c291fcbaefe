//! Owns replays: a revision is asked what was decided in a period, and what it would have decided otherwise is told.

mod plans;

use std::collections::VecDeque;
use std::sync::Arc;

use kernex_model::action::Action;
use kernex_model::comparison::{Breakdown, Comparison, Difference, Finding, Tally};
use kernex_model::document::PolicyRevision;
use kernex_model::id::{DecisionId, DeploymentId, OperationId};
use kernex_model::name::PolicyName;
use kernex_model::operation::{Failure, Operation, OperationState, Replay};
use kernex_model::record::{Decision, DecisionGate};
use kernex_model::time::Timestamp;
use kernex_store::{Page, Store};
use poem_openapi::Object;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::policies::ActivePolicy;
use super::policies::again::{Recorded, Told, Unrepeatable, facts_of};
use super::policies::looking_on::{Shown, compare};
use super::{App, AppError, Caller, Context};

/// Replays that run at once in one process.
pub const MAX_AT_ONCE: usize = 2;
/// Differences that a replay shows.
pub const MAX_SHOWN: usize = 100;
/// Operations and revisions that are looked through at once.
const PAGE: u16 = 100;
/// Decisions that are read and asked together.
const CHUNK: usize = 1_000;
/// Chunks that are read and asked at the same time: enough for the work of two threads, and others go on meanwhile.
const LANES: usize = 3;
/// Milliseconds between two writes of how far a replay has come.
const PROGRESS_MS: i64 = 1_000;
/// Milliseconds without a word after which nobody works on a replay any more.
const ABANDONED_MS: i64 = 60_000;
const WHOLE_PERCENT: u64 = 100;

/// What is to be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayRequest {
    /// The revision that is asked.
    pub revision: u64,
    /// Decisions about this deployment alone.
    pub deployment_id: Option<DeploymentId>,
    /// Decisions from this moment on; the deployment's first, where absent.
    pub from: Option<Timestamp>,
    /// Decisions before this moment; up to now, where a deployment is named.
    pub to: Option<Timestamp>,
    /// The share of decisions that is asked again, in percent.
    pub sample_percent: u8,
}

/// A decision, made once more.
#[derive(Debug, Clone, PartialEq, Object)]
pub struct DecisionExplanation {
    /// The decision as it was recorded.
    pub decision: Decision,
    /// What the same plugin with the same settings says to the same question now; absent where it cannot be asked.
    pub again: Option<Finding>,
    /// Whether outcome and reason are the same. The fuel is, too, but of an instance that was used before.
    pub same: bool,
    /// Why it cannot be asked again.
    pub unrepeatable: Option<String>,
}

impl DecisionExplanation {
    fn unrepeatable(decision: Decision, why: &Unrepeatable) -> Self {
        Self { decision, again: None, same: false, unrepeatable: Some(why.to_string()) }
    }
}

/// What one chunk of decisions came to.
#[derive(Default)]
struct Chunk {
    comparison: Comparison,
    differences: Vec<Difference>,
}

impl App {
    /// Begins to ask a revision what was decided in a period; [`App::get_operation`] tells how far it has come.
    ///
    /// # Errors
    /// Denied, not found, invalid; a conflict where too many replays run already.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn replay_policy(
        self: &Arc<Self>,
        caller: &Caller,
        name: &PolicyName,
        request: ReplayRequest,
    ) -> Result<Operation, AppError> {
        let grant =
            self.gatekeeper.authorize(caller, Action::PolicyReplay, "policy", Some(name.to_string()), Vec::new())?;
        let policy = self.store.policy(name).await?.ok_or(AppError::NotFound("policy"))?;
        let period = self.period(policy.gate, request).await?;
        if period.0 >= period.1 {
            return Err(AppError::field("empty-period", "/to", "a period ends after it begins"));
        }
        let found = self.store.policy_revision(name, request.revision).await?;
        let found =
            found.ok_or_else(|| AppError::field("unknown-revision", "/revision", "the policy has no such revision"))?;
        let busy = |_| AppError::conflict("too-many-replays", format!("{MAX_AT_ONCE} replays run already; try again"));
        let permit = self.replays.clone().try_acquire_owned().map_err(busy)?;
        let candidate = Arc::new(self.prepared(found).await?);
        let operation = self.begun(caller, name, request, period);
        let mut changes =
            grant.changes(Some(serde_json::json!({ "operation": operation.id, "revision": request.revision })));
        changes.create(&operation);
        self.store.commit(changes).await?;
        let (app, begun) = (self.clone(), operation.clone());
        tokio::spawn(async move { app.replay(candidate, begun, permit).await });
        Ok(operation)
    }

    /// From when to when; of a deployment, all its life where nothing else is said.
    async fn period(&self, gate: DecisionGate, request: ReplayRequest) -> Result<(Timestamp, Timestamp), AppError> {
        let Some(id) = request.deployment_id else {
            let missing = |pointer: &str| {
                AppError::field("period-missing", pointer, "say from when to when, or which deployment")
            };
            return Ok((request.from.ok_or_else(|| missing("/from"))?, request.to.ok_or_else(|| missing("/to"))?));
        };
        if gate == DecisionGate::Authorization {
            let detail = "an authorization policy decides about callers, not about deployments";
            return Err(AppError::field("wrong-gate", "/deployment_id", detail));
        }
        let unknown = || AppError::field("unknown-deployment", "/deployment_id", "there is no such deployment");
        let deployment = self.store.deployment(id).await?.ok_or_else(unknown)?;
        // What was decided in this very millisecond is before the end, too.
        let end = self.context.now().plus_millis(1);
        Ok((request.from.unwrap_or(deployment.created_at), request.to.unwrap_or(end)))
    }

    fn begun(
        &self,
        caller: &Caller,
        name: &PolicyName,
        request: ReplayRequest,
        (from, to): (Timestamp, Timestamp),
    ) -> Operation {
        let ReplayRequest { revision, deployment_id, sample_percent, .. } = request;
        let now = self.context.now();
        Operation {
            id: OperationId(self.context.ulid()),
            state: OperationState::Running,
            replay: Replay {
                policy: name.clone(),
                revision,
                deployment_id,
                from,
                to,
                sample_percent,
                comparison: Comparison::default(),
                breakdown: Breakdown::default(),
                differences: Vec::new(),
            },
            failure: None,
            created_by: caller.principal,
            created_at: now,
            revision: 1,
            updated_at: now,
        }
    }

    async fn replay(&self, candidate: Arc<ActivePolicy>, mut operation: Operation, permit: OwnedSemaphorePermit) {
        let ended = match candidate.revision.gate {
            DecisionGate::Targeting => self.replay_plans(&candidate, &mut operation).await,
            DecisionGate::Authorization | DecisionGate::Rollback => self.replay_all(&candidate, &mut operation).await,
        };
        drop(permit);
        match ended {
            Ok(()) => operation.state = OperationState::Succeeded,
            Err(error) => {
                tracing::warn!(operation = %operation.id, error = ?error, "a replay failed");
                operation.state = OperationState::Failed;
                operation.failure = Some(Failure { code: "failed".to_owned(), detail: error.to_string() });
            }
        }
        if let Err(error) = self.write_progress(&mut operation).await {
            tracing::warn!(operation = %operation.id, error = ?error, "how a replay ended could not be written");
        }
    }

    /// Several chunks are read and asked at the same time, and counted in their order.
    async fn replay_all(&self, candidate: &Arc<ActivePolicy>, operation: &mut Operation) -> Result<(), AppError> {
        let percent = operation.replay.sample_percent;
        let mut tally = Tally::default();
        let mut after = None;
        let mut asked: VecDeque<JoinHandle<Result<Chunk, AppError>>> = VecDeque::new();
        loop {
            let ids = self.recorded(&operation.replay, after, CHUNK).await?;
            let Some(last) = ids.last() else { break };
            after = Some(*last);
            let taken: Vec<DecisionId> = ids.into_iter().filter(|id| sampled(*id, percent)).collect();
            if asked.len() == LANES
                && let Some(first) = asked.pop_front()
            {
                take(&mut operation.replay, &mut tally, first).await?;
                self.tell_progress(operation).await?;
            }
            let (store, context, candidate) = (self.store.clone(), self.context.clone(), candidate.clone());
            asked.push_back(tokio::spawn(read_and_ask(store, taken, candidate, context)));
        }
        for chunk in asked {
            take(&mut operation.replay, &mut tally, chunk).await?;
        }
        operation.replay.breakdown = tally.finish();
        Ok(())
    }

    /// Some of the decisions that are replayed, newest first: those of the policy, or of whoever decided about a
    /// deployment.
    async fn recorded(
        &self,
        replay: &Replay,
        after: Option<DecisionId>,
        limit: usize,
    ) -> Result<Vec<DecisionId>, AppError> {
        let about = replay.deployment_id.map(|id| id.to_string());
        let period = (replay.from, replay.to);
        Ok(self.store.decision_ids_between(&replay.policy, about.as_deref(), period, after, limit).await?)
    }

    /// Writes how far it has come, now and then.
    async fn tell_progress(&self, operation: &mut Operation) -> Result<(), AppError> {
        if self.context.now().since(operation.updated_at) >= PROGRESS_MS {
            self.write_progress(operation).await?;
        }
        Ok(())
    }

    async fn write_progress(&self, operation: &mut Operation) -> Result<(), AppError> {
        operation.updated_at = self.context.now();
        self.store.advance_operation(operation).await?;
        operation.revision += 1;
        Ok(())
    }

    /// How far an operation has come.
    ///
    /// # Errors
    /// Denied or not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn get_operation(&self, caller: &Caller, id: OperationId) -> Result<Operation, AppError> {
        self.gatekeeper.authorize(caller, Action::OperationRead, "operation", Some(id.to_string()), Vec::new())?;
        self.store.operation(id).await?.ok_or(AppError::NotFound("operation"))
    }

    /// Says of operations that a process left behind when it was killed that they failed.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn fail_abandoned_operations(&self) -> Result<(), AppError> {
        // Those that run are among the newest: few run at once.
        for mut operation in self.store.list_operations(&Page::first(PAGE)).await?.items {
            let silent = self.context.now().since(operation.updated_at);
            if operation.state != OperationState::Running || silent < ABANDONED_MS {
                continue;
            }
            operation.state = OperationState::Failed;
            let detail = "the server stopped before it came to its end; begin it again".to_owned();
            operation.failure = Some(Failure { code: "interrupted".to_owned(), detail });
            match self.write_progress(&mut operation).await {
                Ok(()) | Err(AppError::Stale) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes a decision once more, by the plugin and settings that made it.
    ///
    /// # Errors
    /// Denied or not found; a conflict where the revision that made it is gone.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn explain_decision(&self, caller: &Caller, id: DecisionId) -> Result<DecisionExplanation, AppError> {
        let decision = self.get_decision(caller, id).await?;
        if let Some(kept) = decision.kept() {
            return self.explain_plan(decision, kept).await;
        }
        let recorded = match Recorded::of(&decision) {
            Ok(recorded) => recorded,
            Err(why) => return Ok(DecisionExplanation::unrepeatable(decision, &why)),
        };
        let revision = self.revision_that_made(&decision).await?;
        let policy = self.prepared(revision).await?;
        let (facts, told) = (facts_of(&decision), Told::of(&decision));
        let again = tokio::task::spawn_blocking(move || policy.again(&recorded, &facts)).await;
        Ok(match again.map_err(|error| AppError::Internal(error.to_string()))? {
            Ok(again) => {
                let same = again.says(&told);
                DecisionExplanation { decision, again: Some(again.finding), same, unrepeatable: None }
            }
            Err(why) => DecisionExplanation::unrepeatable(decision, &why),
        })
    }

    async fn revision_that_made(&self, decision: &Decision) -> Result<PolicyRevision, AppError> {
        let mut page = Some(Page::first(PAGE));
        while let Some(wanted) = page.take() {
            let listed = self.store.list_policy_revisions(&decision.policy, &wanted).await?;
            let made = |revision: &PolicyRevision| {
                revision.plugin_digest == decision.plugin_digest && revision.settings_digest == decision.settings_digest
            };
            if let Some(found) = listed.items.into_iter().find(made) {
                return Ok(found);
            }
            page = listed.next.map(|after| Page { limit: PAGE, after: Some(after) });
        }
        Err(AppError::conflict("revision-gone", "the revision that made the decision is not there any more"))
    }
}

/// Adds what a chunk came to.
async fn take(
    replay: &mut Replay,
    tally: &mut Tally,
    chunk: JoinHandle<Result<Chunk, AppError>>,
) -> Result<(), AppError> {
    add(replay, tally, chunk.await.map_err(|error| AppError::Internal(error.to_string()))??);
    Ok(())
}

async fn read_and_ask(
    store: Store,
    ids: Vec<DecisionId>,
    candidate: Arc<ActivePolicy>,
    context: Context,
) -> Result<Chunk, AppError> {
    let mut decisions = store.decisions_by_id(&ids).await?;
    decisions.retain(|decision| decision.policy == candidate.revision.name);
    let asked = tokio::task::spawn_blocking(move || ask(&candidate, decisions, &context));
    asked.await.map_err(|error| AppError::Internal(error.to_string()))
}

fn add(replay: &mut Replay, tally: &mut Tally, chunk: Chunk) {
    replay.comparison.add(&chunk.comparison);
    for difference in chunk.differences {
        tally.add(&difference);
        if replay.differences.len() < MAX_SHOWN {
            replay.differences.push(difference);
        }
    }
}

/// Asks what was decided again, away from the async threads.
fn ask(candidate: &ActivePolicy, decisions: Vec<Decision>, context: &Context) -> Chunk {
    let mut chunk = Chunk::default();
    for decision in decisions {
        let Ok(shown) = Shown::of(&decision) else {
            chunk.comparison.unrepeatable += 1;
            continue;
        };
        chunk.differences.extend(compare(candidate, shown, &mut chunk.comparison, context));
    }
    chunk
}

/// The same decisions every time, whoever replays them.
fn sampled(id: DecisionId, percent: u8) -> bool {
    // The last bits of an identifier are random.
    u64::try_from(id.0.0 & u128::from(u32::MAX)).unwrap_or_default() % WHOLE_PERCENT < u64::from(percent)
}
