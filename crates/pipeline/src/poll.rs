//! How often a job looks for something that comes from outside: an upload's bytes, a remote parser's answer.

use std::time::Duration;

/// The shortest delay. LlamaParse's free tier allows 20 requests a minute.
pub(super) const MIN_DELAY: Duration = Duration::from_secs(5);
/// The longest delay.
pub(super) const MAX_DELAY: Duration = Duration::from_secs(60);

/// The delay before the next poll of a job that has `waited` so far. It grows with the wait.
pub(super) fn delay(waited: Duration) -> Duration {
    (waited / 4).clamp(MIN_DELAY, MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_are_five_to_sixty_seconds_apart() {
        for (waited, expected) in [(0, 5), (100, 25), (900, 60), (3600, 60)] {
            assert_eq!(delay(Duration::from_secs(waited)), Duration::from_secs(expected), "{waited}");
        }
    }
}
