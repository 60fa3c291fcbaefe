//! Owns the rates of what callers without credentials may try, by address and by account.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::Add;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use kernex_model::digest::Digest;

use crate::app::{AppError, Context};

/// Keys of one rate at most. Beyond it, those that are idle are dropped; if all are busy, new ones are refused.
pub const MAX_KEYS: usize = 100_000;

/// The clock of [`Context`], as governor wants it: nanoseconds since 1970.
#[derive(Debug, Clone)]
pub struct ContextClock(Context);

/// A moment of [`ContextClock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0.saturating_add(nanos.as_u64()))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.as_u64()).unwrap_or(self.0))
    }
}

impl Clock for ContextClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        let millis = u64::try_from(self.0.now().as_millis()).unwrap_or(0);
        Moment(millis.saturating_mul(1_000_000))
    }
}

/// One rate, for each key on its own.
pub struct Attempts<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, ContextClock, NoOpMiddleware<Moment>>,
    clock: ContextClock,
}

impl<K: Hash + Eq + Clone> std::fmt::Debug for Attempts<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attempts")
    }
}

impl<K: Hash + Eq + Clone> Attempts<K> {
    /// `per_minute` attempts in a minute, also at once; at least one.
    #[must_use]
    pub fn new(per_minute: u32, context: Context) -> Self {
        let clock = ContextClock(context);
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        Self { limiter: RateLimiter::new(quota, DashMapStateStore::default(), clock.clone()), clock }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// [`AppError::TooManyRequests`] with the time to wait.
    pub fn count(&self, key: &K) -> Result<(), AppError> {
        if self.limiter.len() >= MAX_KEYS {
            self.limiter.retain_recent();
            if self.limiter.len() >= MAX_KEYS {
                return Err(AppError::TooManyRequests { retry_after_s: 60 });
            }
        }
        self.limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            AppError::TooManyRequests {
                retry_after_s: u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1),
            }
        })
    }
}

/// What one address is counted as: an IPv6 network of 64 bits is one customer.
#[must_use]
pub fn address_key(address: Option<IpAddr>) -> u128 {
    match address {
        Some(IpAddr::V4(address)) => u128::from(u32::from(address)),
        Some(IpAddr::V6(address)) => u128::from(address) >> 64 << 64,
        None => 0,
    }
}

/// What one account is counted as, whether it exists or not.
#[must_use]
pub fn account_key(login: &str) -> Digest {
    Digest::of(login.to_lowercase().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use kernex_model::time::Timestamp;
    use rand::SeedableRng;

    use super::*;

    #[derive(Clone, Default)]
    struct Hands(Arc<AtomicI64>);

    impl crate::app::context::Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn a_rate_recovers_with_time_and_is_each_keys_own() {
        let hands = Hands::default();
        hands.0.store(1_000_000, Ordering::Relaxed);
        let context = Context::new(Arc::new(hands.clone()), Box::new(rand::rngs::StdRng::seed_from_u64(1)));
        let attempts = Attempts::new(3, context);
        for _ in 0..3 {
            assert!(attempts.count(&"a").is_ok());
        }
        let refused = attempts.count(&"a");
        assert!(matches!(refused, Err(AppError::TooManyRequests { retry_after_s: 20..=21 })), "{refused:?}");
        assert!(attempts.count(&"b").is_ok());
        hands.0.fetch_add(20_000, Ordering::Relaxed);
        assert!(attempts.count(&"a").is_ok());
        assert!(attempts.count(&"a").is_err());
    }

    #[test]
    fn one_customer_is_one_key() {
        let key = |text: &str| address_key(text.parse().ok());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:1::1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
        assert_eq!(account_key("Ada"), account_key("ada"));
    }
}
