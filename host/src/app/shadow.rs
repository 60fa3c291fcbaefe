//! Owns what revisions that look on are shown, what came of it, and what people are told of it.

use kernex_model::action::Action;
use kernex_model::comparison::{Breakdown, Comparison, Difference, ShadowRecord, Tally};
use kernex_model::name::PolicyName;
use kernex_model::record::Decision;
use kernex_model::time::Timestamp;
use kernex_store::{CommitError, Listed, MAX_DIFFERENCES, MAX_PAGE, Page};
use poem_openapi::Object;

use super::planning::Chosen;
use super::policies::ActivePolicy;
use super::policies::again::{Recorded, Told};
use super::policies::looking_on::{Seen, ShadowJob, Shown, ShownPlan, ask};
use super::policies::revisions::Standing;
use super::verdict::Asked;
use super::{App, AppError, Caller};

/// How often a count is tried again that another host was first with.
const MAX_TRIES: usize = 8;

/// Which revision is to look on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShadowChoice {
    /// Its number; none looks on, where absent.
    pub revision: Option<u64>,
    /// The share of questions that it is asked, in percent, 1 to 100.
    pub percent: u8,
}

/// What a revision that looks on, or did, was seen to do.
#[derive(Debug, Clone, PartialEq, Object)]
pub struct Shadow {
    /// The policy.
    pub policy: PolicyName,
    /// The revision.
    pub revision: u64,
    /// Since when it looks on.
    pub since: Timestamp,
    /// What came of it.
    pub comparison: Comparison,
    /// Whom and what the differences are about that are kept: the first 10,000.
    pub breakdown: Breakdown,
}

impl App {
    /// Shows those who look on what a policy other than an authorization policy was asked and has decided. The record may
    /// lack a part of the question.
    pub(super) fn show(&self, policy: &ActivePolicy, asked: &Asked, decision: &Decision) {
        let Some(candidate) = self.policies.looking_on_at(&decision.policy) else { return };
        let kind = (decision.gate, decision.outcome);
        let Ok(recorded) = Recorded::read(kind, &asked.question, &asked.input) else { return };
        self.shadows.show(&candidate, || Shown {
            recorded,
            facts: asked.facts_read.clone(),
            decided: Told::of(decision),
            secrets: policy.revision.secret_facts.as_slice().into(),
            at: decision.at,
            request_id: decision.request_id,
        });
    }

    /// Shows those who look on a plan that was made, or who joined one, device by device.
    pub(super) fn show_plan(&self, chosen: &mut Chosen) {
        let Some(made) = chosen.made.take() else { return };
        let Some(candidate) = self.policies.looking_on_at(&chosen.decision.policy) else { return };
        self.shadows.show_plan(&candidate, || ShownPlan {
            decision: chosen.decision.clone(),
            made,
            secrets: chosen.policy.revision.secret_facts.as_slice().into(),
        });
    }

    /// Asks those who look on, and counts what came of it.
    pub async fn compare(&self, jobs: Vec<ShadowJob>) {
        let context = self.context.clone();
        let asked = tokio::task::spawn_blocking(move || ask(jobs, &context)).await;
        let Ok(seen) = asked else {
            tracing::error!("asking a revision that looks on failed");
            return;
        };
        for seen in seen {
            self.metrics.compared(&seen.candidate.policy.label, &seen.comparison);
            if let Err(error) = self.count(&seen).await {
                tracing::warn!(policy = %seen.candidate.policy.revision.name, error = ?error, "what a revision that looks on was seen to do is not counted");
            }
        }
    }

    async fn count(&self, seen: &Seen) -> Result<(), AppError> {
        let revision = &seen.candidate.policy.revision;
        for _ in 0..MAX_TRIES {
            let known = self.store.shadow(&revision.name, revision.revision).await?;
            let was_known = known.is_some();
            let now = self.context.now();
            let mut record = known.unwrap_or_else(|| ShadowRecord {
                policy: revision.name.clone(),
                candidate: revision.revision,
                since: now,
                comparison: Comparison::default(),
                revision: 1,
                updated_at: now,
            });
            let room = MAX_DIFFERENCES.saturating_sub(record.comparison.differing);
            let room = usize::try_from(room).unwrap_or(usize::MAX).min(seen.differences.len());
            record.comparison.add(&seen.comparison);
            record.updated_at = now;
            match self.store.count_shadow(&record, was_known).await {
                Ok(()) => return Ok(self.store.keep_differences(&seen.differences[..room]).await?),
                Err(CommitError::Conflict { .. } | CommitError::Exists { .. } | CommitError::Busy) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AppError::Busy)
    }

    /// Lets a revision look on beside the one that decides, or none. What earlier ones were seen to do is forgotten when
    /// one begins.
    ///
    /// # Errors
    /// As [`App::activate_policy`]; invalid for the revision that decides.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn shadow_policy(
        &self,
        caller: &Caller,
        name: &PolicyName,
        choice: ShadowChoice,
        expected: Option<u64>,
    ) -> Result<Standing, AppError> {
        let grant = self.may_activate(caller, name)?;
        let (_change, head) = self.turn(name, expected).await?;
        let mut head = head.ok_or(AppError::NotFound("policy"))?;
        if let Some(revision) = choice.revision {
            if head.active == Some(revision) {
                return Err(AppError::field("already-active", "/revision", "this revision decides already"));
            }
            let found = self.store.policy_revision(name, revision).await?;
            let found = found
                .ok_or_else(|| AppError::field("unknown-revision", "/revision", "the policy has no such revision"))?;
            self.prepared(found).await?;
            self.store.forget_shadows(name).await?;
            head.look_on(revision, choice.percent, self.context.now());
        } else {
            head.shadow = None;
            head.updated_at = self.context.now();
        }
        self.decide_anew(&grant, head, "shadow").await
    }

    /// What a revision was seen to do while it looked on: the one that does now, or `revision`.
    ///
    /// # Errors
    /// Denied or not found.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn get_shadow(
        &self,
        caller: &Caller,
        name: &PolicyName,
        revision: Option<u64>,
    ) -> Result<Shadow, AppError> {
        let revision = self.shadow_meant(caller, name, revision).await?;
        let record = self.store.shadow(name, revision).await?;
        let since = record.as_ref().map(|record| record.since);
        let mut tally = Tally::default();
        let mut page = Some(Page::first(MAX_PAGE));
        while let Some(wanted) = page.take() {
            let listed = self.store.list_differences(name, revision, &wanted).await?;
            listed.items.iter().for_each(|difference| tally.add(difference));
            page = listed.next.map(|after| Page { limit: MAX_PAGE, after: Some(after) });
        }
        Ok(Shadow {
            policy: name.clone(),
            revision,
            since: since.unwrap_or_else(|| self.context.now()),
            comparison: record.map(|record| record.comparison).unwrap_or_default(),
            breakdown: tally.finish(),
        })
    }

    /// Lists what a revision that looks on, or did, would have decided otherwise, newest first.
    ///
    /// # Errors
    /// Denied, not found, or a cursor of another list.
    #[tracing::instrument(level = "debug", skip_all)]
    pub async fn list_differences(
        &self,
        caller: &Caller,
        name: &PolicyName,
        revision: Option<u64>,
        page: Page,
    ) -> Result<Listed<Difference>, AppError> {
        let revision = self.shadow_meant(caller, name, revision).await?;
        Ok(self.store.list_differences(name, revision, &page).await?)
    }

    async fn shadow_meant(&self, caller: &Caller, name: &PolicyName, revision: Option<u64>) -> Result<u64, AppError> {
        self.gatekeeper.authorize(caller, Action::PolicyRead, "policy", Some(name.to_string()), Vec::new())?;
        let head = self.store.policy(name).await?.ok_or(AppError::NotFound("policy"))?;
        match revision {
            Some(revision) => {
                self.store.policy_revision(name, revision).await?.ok_or(AppError::NotFound("revision"))?;
                Ok(revision)
            }
            None => head.shadow.ok_or(AppError::NotFound("shadow")),
        }
    }
}
