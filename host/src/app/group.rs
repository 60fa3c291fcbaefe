//! Owns group commit: many devices' writes arrive at once and are committed together, each acknowledged on its own.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, Span};

use super::error::AppError;
use crate::telemetry::is_traced;

/// Writes in one group.
pub const MAX_GROUP: usize = 500;
/// Writes that wait, at most; past it callers are told that the server is busy.
pub const MAX_WAITING: usize = 20_000;

type Waiting<J, A> = (J, Reply<A>);

/// The way back to whoever handed a job in.
#[derive(Debug)]
struct Reply<A> {
    answer: oneshot::Sender<Result<A, AppError>>,
    /// From handing in to the end of the commit, in the trace of the request; none of a request that is not traced.
    span: Span,
}

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
        let span = tracing::debug_span!("commit", jobs = tracing::field::Empty);
        self.jobs.try_send((job, Reply { answer, span })).map_err(|_| AppError::Busy)?;
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
            let (jobs, replies): (Vec<J>, Vec<Reply<A>>) = waiting.drain(..).unzip();
            let span = joined(&replies);
            let Ok(results) = AssertUnwindSafe(write(&jobs).instrument(span)).catch_unwind().await else {
                // Whoever handed one in is told that the server is busy.
                tracing::error!(jobs = jobs.len(), "writing what devices sent together failed");
                continue;
            };
            debug_assert_eq!(results.len(), jobs.len());
            for (Reply { answer, span }, result) in replies.into_iter().zip(results) {
                drop(span);
                // A caller that went away has had its write all the same.
                drop(answer.send(result));
            }
        }
    }
}

/// The span that a group is written in: the first one that is traced. The others are linked to it, because a group is
/// written once.
fn joined<A>(replies: &[Reply<A>]) -> Span {
    let mut traced = replies.iter().map(|reply| &reply.span).filter(|span| is_traced(span));
    let Some(first) = traced.next() else { return Span::none() };
    first.record("jobs", replies.len());
    for other in traced {
        other.record("jobs", replies.len());
        other.follows_from(first);
    }
    first.clone()
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
