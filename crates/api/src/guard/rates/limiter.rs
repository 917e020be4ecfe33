//! One bound, counted a key: a bucket that holds so many and fills evenly.

use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};

use super::Standing;

/// Buckets that are full again are forgotten after this many looks, so that memory is bounded by who has asked lately.
const SWEEP_EVERY: u32 = 4096;

type Buckets<K> = RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// Counts by `K`.
pub struct Limiter<K: Clone + Hash + Eq> {
    name: &'static str,
    buckets: Buckets<K>,
    /// How many a minute.
    pub per_minute: NonZeroU32,
    burst: NonZeroU32,
    looks: AtomicU32,
}

/// The result of taking one.
pub struct Taken {
    /// Whether there was one.
    pub allowed: bool,
    /// What is left. `reset`: how long until there is one, where none is left; else until all are back.
    pub standing: Standing,
}

impl<K: Clone + Hash + Eq> Limiter<K> {
    /// `per_minute`, of which `burst` (at least one) at once; `name` stands in the headers. `None`: 0 a minute is no limit.
    pub fn new(name: &'static str, per_minute: u32, burst: u32) -> Option<Self> {
        let per_minute = NonZeroU32::new(per_minute)?;
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(per_minute).allow_burst(burst);
        let buckets = RateLimiter::keyed(quota).with_middleware();
        Some(Self { name, buckets, per_minute, burst, looks: AtomicU32::new(0) })
    }

    /// Takes one from the bucket of `key`.
    pub fn take(&self, key: &K) -> Taken {
        if self.looks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.buckets.retain_recent();
            self.buckets.shrink_to_fit();
        }
        let quota = self.burst.get();
        let one = Duration::from_secs(60) / self.per_minute.get();
        let (allowed, remaining, reset) = match self.buckets.check_key(key) {
            Ok(left) => match left.remaining_burst_capacity() {
                0 => (true, 0, one),
                remaining => (true, remaining, one * (quota.saturating_sub(remaining))),
            },
            Err(not_until) => (false, 0, not_until.wait_time_from(DefaultClock::default().now())),
        };
        Taken { allowed, standing: Standing { name: self.name, quota, window: one * quota, remaining, reset } }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.buckets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_bucket_that_runs_dry_and_says_until_when() {
        let limiter = Limiter::new("a", 6, 2).unwrap();
        let Taken { allowed, standing: first } = limiter.take(&"a");
        assert_eq!((allowed, first.quota, first.remaining), (true, 2, 1));
        assert_eq!((first.window, first.reset), (Duration::from_secs(20), Duration::from_secs(10)));
        assert!(limiter.take(&"a").allowed);
        let third = limiter.take(&"a");
        assert!(!third.allowed && third.standing.remaining == 0);
        assert!(
            third.standing.reset > Duration::from_secs(9) && third.standing.reset <= Duration::from_secs(10),
            "{:?}",
            third.standing
        );
        assert!(limiter.take(&"b").allowed);
    }

    #[test]
    fn nothing_a_minute_is_no_bound_and_one_a_minute_is_one() {
        assert!(Limiter::<u8>::new("a", 0, 0).is_none());
        let one = Limiter::new("a", 1, 0).unwrap();
        assert!(one.take(&1).allowed && !one.take(&1).allowed);
    }

    #[test]
    fn buckets_that_are_full_again_are_forgotten() {
        // One comes back each microsecond: every bucket is full again when the next is looked at.
        let limiter = Limiter::new("a", 60_000_000, 1).unwrap();
        for key in 0..SWEEP_EVERY * 3 {
            limiter.take(&key);
        }
        assert!(limiter.len() <= SWEEP_EVERY as usize + 1, "{} are kept", limiter.len());
    }
}
