//! Owns reports: what devices say happened, written in groups, each with its effect on the assignment.

use std::collections::BTreeSet;

use kernex_model::action::Action;
use kernex_model::assignment::ReportEffect;
use kernex_model::principal::Principal;
use kernex_model::report::{Report, TimelineKind};
use kernex_store::CommitError;

use super::execution::{Note, Work};
use super::gatekeeper::GrantRecord;
use super::{App, AppError, Caller, steps};

/// How often a group is put together again when something moved under it.
const MAX_TRIES: usize = 8;

/// A report that the policy allowed, on its way to the writer.
#[derive(Debug)]
pub struct ReportJob {
    report: Report,
    record: GrantRecord,
}

impl App {
    /// Takes in a device's report. Reports of one assignment, attempt and state have one effect.
    ///
    /// # Errors
    /// Denied for an assignment of another device, not found for one that does not exist, a conflict
    /// (`attempt-ended`) for a late report. Nothing changes then.
    #[tracing::instrument(level = "debug", skip_all, fields(device.id, assignment.id, deployment.id, bundle.id))]
    pub async fn report(&self, caller: &Caller, report: Report) -> Result<(), AppError> {
        let device = report.assignment_id.device;
        let command = self.fleet.command(device).filter(|command| command.assignment_id == report.assignment_id);
        let bundle = command.and_then(|command| command.bundle.as_ref().map(|bundle| bundle.id));
        steps::note(device, Some(report.assignment_id), bundle);
        let grant =
            self.gatekeeper.authorize(caller, Action::DeviceReport, "device", Some(device.to_string()), Vec::new())?;
        // Whatever a policy grants: nobody speaks for a device but the device.
        if caller.principal != Principal::Device(device) {
            return Err(AppError::not_a_device());
        }
        let record = grant.record(Some(serde_json::json!({ "state": report.state, "attempt": report.attempt })));
        self.reports.submit(ReportJob { report, record }).await
    }

    /// Writes a group of reports in one transaction; a refused one does not touch the others.
    pub(crate) async fn write_reports(&self, jobs: &[ReportJob]) -> Vec<Result<(), AppError>> {
        for _ in 0..MAX_TRIES {
            match self.try_reports(jobs).await {
                Ok(answers) => {
                    self.wake_driver();
                    return answers;
                }
                Err(AppError::Stale) => {}
                Err(AppError::Internal(reason)) => {
                    return jobs.iter().map(|_| Err(AppError::Internal(reason.clone()))).collect();
                }
                Err(_) => break,
            }
        }
        jobs.iter().map(|_| Err(AppError::Busy)).collect()
    }

    async fn try_reports(&self, jobs: &[ReportJob]) -> Result<Vec<Result<(), AppError>>, AppError> {
        let ids: Vec<_> =
            jobs.iter().map(|job| job.report.assignment_id).collect::<BTreeSet<_>>().into_iter().collect();
        let assignments = self.store.assignments_by_id(&ids).await?;
        let mut deployments = Vec::new();
        for id in assignments.iter().map(|assignment| assignment.deployment_id).collect::<BTreeSet<_>>() {
            deployments.extend(self.store.deployment(id).await?);
        }
        let mut work = Work::new(self.context.now(), deployments);
        work.load(assignments);
        let answers = jobs.iter().map(|job| self.apply(&mut work, job)).collect();
        if work.is_empty() {
            return Ok(answers);
        }
        match work.commit(self).await {
            Ok(()) => Ok(answers),
            Err(error @ (CommitError::Conflict { .. } | CommitError::Busy)) => Err(error.into()),
            Err(error) => Err(AppError::Internal(error.to_string())),
        }
    }

    fn apply(&self, work: &mut Work, job: &ReportJob) -> Result<(), AppError> {
        let report = &job.report;
        let before = work.assignment(report.assignment_id).cloned().ok_or(AppError::NotFound("assignment"))?;
        let deployment = work.deployment(before.deployment_id).ok_or(AppError::NotFound("deployment"))?;
        let effect = before
            .reported(report, self.context.now(), &deployment.plan)
            .map_err(|refusal| AppError::conflict("attempt-ended", refusal.to_string()))?;
        let ReportEffect::Changed(after) = effect else { return Ok(()) };
        let quiet = before.state == after.state && before.phase == after.phase;
        work.audit(job.record.clone());
        if quiet {
            work.advance_quietly(&before, *after);
            return Ok(());
        }
        work.reported(report);
        let error =
            report.error.as_ref().map(|error| format!(": {} ({})", error.message, error.code)).unwrap_or_default();
        let message = format!("the device reported {} in attempt {}{error}", report.state.as_str(), report.attempt);
        work.advance(
            &before,
            *after,
            Note::new(TimelineKind::Report, format!("report.{}", report.state.as_str()), message),
        );
        Ok(())
    }
}
