//! What happens after a failed step, which depends on the class of the failure and never on its code; and whether a retry
//! that a person asks for can help.

use std::time::Duration;

use super::{Code, ErrorClass, Failure};

/// The limits of retries, from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries after the first one since the last checkpoint.
    pub max_retries: u32,
    /// Wait before the first retry; each later wait is twice as long.
    pub base_delay: Duration,
    /// The longest wait, unless a provider asks for more.
    pub max_delay: Duration,
}

/// What to do with the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after this time; counts as a try.
    Retry(Duration),
    /// Give the job up: a person must look at it.
    Deadletter,
    /// Hand the job back unchanged and stop claiming until this process is configured correctly; does not count as a try.
    Pause,
}

impl RetryPolicy {
    /// Decides. `retry_count` is the number of tries that have failed before this one; `jitter` is a random number
    /// from 0 to 1, which spreads the tries of many jobs over half to the whole of the wait.
    pub fn decide(&self, failure: &Failure, retry_count: u32, jitter: f64) -> Verdict {
        match failure.class {
            ErrorClass::Document => Verdict::Deadletter,
            ErrorClass::Configuration => Verdict::Pause,
            ErrorClass::Transient | ErrorClass::Quota if retry_count >= self.max_retries => Verdict::Deadletter,
            ErrorClass::Transient | ErrorClass::Quota => {
                let full = self.base_delay.saturating_mul(2_u32.saturating_pow(retry_count)).min(self.max_delay);
                let wait = full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
                Verdict::Retry(wait.max(failure.retry_after.unwrap_or_default()))
            }
        }
    }
}

/// The refusal of a retry that cannot end differently: the job failed with `code`, or its bytes were `removed`. `None`: a
/// retry can help.
pub fn retry_needs(code: Option<Code>, removed: bool) -> Option<Code> {
    if removed || code.is_some_and(|code| UNUSABLE.contains(&code)) {
        return Some(Code::RetryNeedsUpload);
    }
    (code == Some(Code::TypeMismatch)).then_some(Code::RetryNeedsType)
}

/// The codes of bytes that never came, or are not those that were announced.
const UNUSABLE: [Code; 3] = [Code::UploadExpired, Code::SizeMismatch, Code::HashMismatch];
/// The codes of bytes that are not what was declared. They are kept for some days, and then removed.
pub const MISMATCHED: [Code; 3] = [Code::TypeMismatch, Code::SizeMismatch, Code::HashMismatch];

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy =
        RetryPolicy { max_retries: 3, base_delay: Duration::from_secs(3), max_delay: Duration::from_secs(300) };

    fn failure(class: ErrorClass) -> Failure {
        Failure::of_class(class, Code::StepPanicked, "x")
    }

    #[test]
    fn waits_double_and_jitter_never_exceeds_them() {
        for (retry_count, full) in [(0, 3.0), (1, 6.0), (2, 12.0)] {
            for jitter in [0.0, 0.3, 1.0] {
                let Verdict::Retry(wait) = POLICY.decide(&failure(ErrorClass::Transient), retry_count, jitter) else {
                    panic!("a transient failure must be retried");
                };
                assert!((full * 0.5..=full).contains(&wait.as_secs_f64()), "{retry_count} {jitter} {wait:?}");
            }
        }
    }

    #[test]
    fn tries_end() {
        assert_eq!(POLICY.decide(&failure(ErrorClass::Transient), 3, 0.5), Verdict::Deadletter);
        assert_eq!(POLICY.decide(&failure(ErrorClass::Quota), 3, 0.5), Verdict::Deadletter);
    }

    #[test]
    fn a_fault_of_the_document_is_final_at_once_and_one_of_ours_costs_nothing() {
        assert_eq!(POLICY.decide(&failure(ErrorClass::Document), 0, 0.5), Verdict::Deadletter);
        assert_eq!(POLICY.decide(&failure(ErrorClass::Configuration), 3, 0.5), Verdict::Pause);
    }

    #[test]
    fn a_provider_is_never_asked_sooner_than_it_says() {
        let mut quota = failure(ErrorClass::Quota);
        quota.retry_after = Some(Duration::from_secs(120));
        assert_eq!(POLICY.decide(&quota, 0, 0.0), Verdict::Retry(Duration::from_secs(120)));
    }

    #[test]
    fn no_wait_is_longer_than_the_longest() {
        let patient = RetryPolicy { max_retries: 100, ..POLICY };
        assert_eq!(patient.decide(&failure(ErrorClass::Transient), 99, 1.0), Verdict::Retry(POLICY.max_delay));
    }

    #[test]
    fn a_retry_that_cannot_help_says_what_would() {
        assert_eq!(retry_needs(Some(Code::TypeMismatch), false), Some(Code::RetryNeedsType));
        for (code, removed) in [(Code::TypeMismatch, true), (Code::HashMismatch, false), (Code::UploadExpired, false)] {
            assert_eq!(retry_needs(Some(code), removed), Some(Code::RetryNeedsUpload), "{code}");
        }
        assert_eq!(retry_needs(Some(Code::FileCorrupt), false), None);
    }
}
