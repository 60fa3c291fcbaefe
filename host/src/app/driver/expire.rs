//! Owns the end of attempts that took too long.

use kernex_model::assignment::AssignmentState;
use kernex_model::id::DeploymentId;
use kernex_model::report::TimelineKind;

use super::{MAX_STEPS, Progress};
use crate::app::execution::{Note, Work};
use crate::app::{App, AppError};

const IN_FLIGHT: [AssignmentState; 4] = [
    AssignmentState::Offered,
    AssignmentState::Running,
    AssignmentState::RollbackOffered,
    AssignmentState::RollbackRunning,
];

impl App {
    /// Ends the attempts whose time is over, in whatever state the deployment is: nobody is stranded.
    pub(super) async fn expire(&self, id: DeploymentId) -> Result<Progress, AppError> {
        let mut moved = Progress::Idle;
        for _ in 0..MAX_STEPS {
            let deployment = self.load_deployment(id).await?;
            let due = self.due(&deployment, &IN_FLIGHT).await?;
            let now = self.context.now();
            let plan = deployment.plan.clone();
            let mut work = Work::new(now, [deployment]);
            for before in due {
                if let Some(after) = before.expired(now, &plan) {
                    let (code, message) = match before.state {
                        AssignmentState::Offered | AssignmentState::RollbackOffered => (
                            "offer.withdrawn",
                            "the device did not take the offer up in time; it will be offered again",
                        ),
                        _ => ("attempt.timed-out", "the attempt was not ended in time"),
                    };
                    work.advance(&before, after, Note::new(TimelineKind::Driver, code, message));
                }
            }
            match self.finish(work, id, "expire").await? {
                Progress::Idle => break,
                Progress::Moved => moved = Progress::Moved,
            }
        }
        Ok(moved)
    }
}
