//! What this process remembers of an embedding service from one request to the next.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use domain::{Code, ErrorClass, Failure};

/// Failures in a row after which the service counts as down. No more than the tries that a job has by default, so that a
/// job alone does not use them up first.
const OPENS_AT: u32 = 3;
/// The shortest wait of a job for its place.
const MIN_WAIT: Duration = Duration::from_secs(1);
/// The longest, unless the service asks for more.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Jobs in a row without a place that make the next one wait as long again.
const CROWD: u32 = 8;

/// Counts failures in a row, and jobs in a row that found no place within the rates.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: AtomicU32,
    crowd: AtomicU32,
}

impl Breaker {
    /// The service has answered.
    pub(super) fn close(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Counts a failure. The service's third in a row becomes one of the configuration: the worker claims nothing until a
    /// probe succeeds, and no job loses a try meanwhile.
    pub(super) fn count(&self, failure: Failure) -> Failure {
        let is_down = matches!(
            failure.code,
            Code::EmbedServiceUnavailable
                | Code::EmbedServiceTimeout
                | Code::EmbedServiceAnswerCut
                | Code::EmbedServiceAnswerInvalid
        );
        if !is_down || self.failures.fetch_add(1, Ordering::Relaxed) + 1 < OPENS_AT {
            return failure;
        }
        Failure { class: ErrorClass::Configuration, ..failure }
    }

    /// A request has its place.
    pub(super) fn has_place(&self) {
        self.crowd.store(0, Ordering::Relaxed);
    }

    /// How long a job waits that has no place within the rates before `wait`. The more there are, the longer: each look
    /// costs the database a claim. `jitter`: from 0 to 1.
    pub(super) fn wait(&self, wait: Duration, jitter: f64) -> Duration {
        let crowd = self.crowd.fetch_add(1, Ordering::Relaxed);
        let full = wait.max(MIN_WAIT).saturating_mul(1 + crowd / CROWD).min(MAX_WAIT.max(wait));
        full.mul_f64(1.0 + 0.25 * jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: Code) -> Failure {
        Failure::new(code, "x")
    }

    #[test]
    fn the_third_failure_in_a_row_pauses_and_an_answer_begins_the_count_again() {
        let breaker = Breaker::default();
        let class = || breaker.count(failure(Code::EmbedServiceUnavailable)).class;
        assert_eq!(
            [class(), class(), class()],
            [ErrorClass::Transient, ErrorClass::Transient, ErrorClass::Configuration]
        );
        breaker.close();
        assert_eq!(breaker.count(failure(Code::EmbedServiceTimeout)).class, ErrorClass::Transient);
    }

    #[test]
    fn a_vector_that_is_wrong_does_not_say_that_the_service_is_down() {
        let breaker = Breaker::default();
        for _ in 0..9 {
            assert_eq!(breaker.count(failure(Code::VectorInvalid)).class, ErrorClass::Transient);
        }
    }

    #[test]
    fn the_more_jobs_wait_the_longer_each_waits_and_never_less_than_asked() {
        let breaker = Breaker::default();
        let seconds = Duration::from_secs;
        assert_eq!(breaker.wait(seconds(6), 0.0), seconds(6));
        let later: Vec<Duration> = (0..40).map(|_| breaker.wait(seconds(6), 0.0)).collect();
        assert_eq!((later[10], later[39]), (seconds(12), seconds(36)));
        assert_eq!(breaker.wait(seconds(600), 0.0), seconds(600));
        breaker.has_place();
        assert_eq!(breaker.wait(Duration::ZERO, 0.0), MIN_WAIT);
    }
}
