//! Owns group commit: many devices' writes arrive at once and are committed together, each acknowledged on its own.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};

use super::error::AppError;

/// Writes in one group.
pub const MAX_GROUP: usize = 500;
/// Writes that wait, at most; past it callers are told that the server is busy.
pub const MAX_WAITING: usize = 20_000;

type Waiting<J, A> = (J, oneshot::Sender<Result<A, AppError>>);

/// How many jobs wait in a group.
pub struct Length(Box<dyn Fn() -> usize + Send + Sync>);

impl std::fmt::Debug for Length {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Length({})", self.get())
    }
}

impl Length {
    /// Now.
    #[must_use]
    pub fn get(&self) -> usize {
        (self.0)()
    }
}

/// Where jobs are handed in.
#[derive(Debug)]
pub struct Group<J, A> {
    jobs: mpsc::Sender<Waiting<J, A>>,
}

/// Where the one writer takes them out.
#[derive(Debug)]
pub struct GroupInbox<J, A> {
    jobs: mpsc::Receiver<Waiting<J, A>>,
}

/// A group and its inbox.
#[must_use]
pub fn group<J, A>() -> (Group<J, A>, GroupInbox<J, A>) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (Group { jobs: sender }, GroupInbox { jobs: receiver })
}

impl<J, A> Group<J, A> {
    /// Tells how many jobs wait. It does not keep the writer alive.
    #[must_use]
    pub fn length(&self) -> Length
    where
        J: Send + 'static,
        A: Send + 'static,
    {
        let jobs = self.jobs.downgrade();
        Length(Box::new(move || jobs.upgrade().map_or(0, |jobs| jobs.max_capacity() - jobs.capacity())))
    }

    /// Hands a job in and waits until its group was committed.
    ///
    /// # Errors
    /// [`AppError::Busy`] where too many wait or the writer has stopped; else what the writer answers.
    pub async fn submit(&self, job: J) -> Result<A, AppError> {
        let (answer, answered) = oneshot::channel();
        self.jobs.try_send((job, answer)).map_err(|_| AppError::Busy)?;
        answered.await.map_err(|_| AppError::Busy)?
    }
}

impl<J, A> GroupInbox<J, A> {
    /// Writes group after group until every [`Group`] is gone. What arrives during one commit makes up
    /// the next group: no timer, and nobody who is alone waits. Where writing one panics, the next one is written all
    /// the same: a defect must not silence the writer.
    pub async fn run(mut self, write: impl AsyncFn(&[J]) -> Vec<Result<A, AppError>>) {
        let mut waiting = Vec::with_capacity(MAX_GROUP);
        while self.jobs.recv_many(&mut waiting, MAX_GROUP).await > 0 {
            let (jobs, answers): (Vec<J>, Vec<_>) = waiting.drain(..).unzip();
            let Ok(results) = AssertUnwindSafe(write(&jobs)).catch_unwind().await else {
                // Whoever handed one in is told that the server is busy.
                tracing::error!(jobs = jobs.len(), "writing what devices sent together failed");
                continue;
            };
            debug_assert_eq!(results.len(), jobs.len());
            for (answer, result) in answers.into_iter().zip(results) {
                // A caller that went away has had its write all the same.
                drop(answer.send(result));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_group_that_cannot_be_written_does_not_end_the_writer() {
        let (group, inbox) = group::<u32, u32>();
        let writer = inbox.run(async |jobs: &[u32]| {
            assert!(!jobs.contains(&0), "as the test wants it");
            jobs.iter().map(|job| Ok(job + 1)).collect::<Vec<Result<u32, AppError>>>()
        });
        let callers = async move {
            assert!(matches!(group.submit(0).await, Err(AppError::Busy)));
            assert!(matches!(group.submit(1).await, Ok(2)));
        };
        // It ends with the last handle.
        tokio::join!(writer, callers);
    }
}
