//! Owns the three things that make a run differ from the last: time, identifiers and randomness. All else is a function of them.

use std::sync::Arc;

use kernex_model::id::Ulid;
use kernex_model::time::Timestamp;
use parking_lot::Mutex;
use rand::{RngCore, SeedableRng};

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(chrono::Utc::now().timestamp_millis())
    }
}

/// Time, identifiers and randomness, in one cheap handle.
#[derive(Clone)]
pub struct Context {
    clock: Arc<dyn Clock>,
    random: Arc<Mutex<Source>>,
}

struct Source {
    rng: Box<dyn RngCore + Send>,
    last: Ulid,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}

impl Context {
    /// The machine's clock and the operating system's randomness.
    #[must_use]
    pub fn system() -> Self {
        let rng = rand::rngs::StdRng::from_os_rng();
        Self::new(Arc::new(SystemClock), Box::new(rng))
    }

    /// A clock and a source of randomness of one's own, as simulations have.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, rng: Box<dyn RngCore + Send>) -> Self {
        Self { clock, random: Arc::new(Mutex::new(Source { rng, last: Ulid::nil() })) }
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new identifier's number: greater than every one that this handle gave before.
    #[must_use]
    pub fn ulid(&self) -> Ulid {
        let millis = u64::try_from(self.now().as_millis()).unwrap_or(0);
        let mut source = self.random.lock();
        let mut bytes = [0_u8; 16];
        source.rng.fill_bytes(&mut bytes);
        let fresh = Ulid::from_parts(millis, u128::from_be_bytes(bytes));
        // Several in one millisecond, or a clock that went back: count on from the last.
        let next = if fresh > source.last { fresh } else { Ulid(source.last.0.saturating_add(1)) };
        source.last = next;
        next
    }

    /// Random bytes, fit for secrets.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0_u8; N];
        self.random.lock().rng.fill_bytes(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_only_grow() {
        let context = Context::system();
        let ids: Vec<_> = (0..10_000).map(|_| context.ulid()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
