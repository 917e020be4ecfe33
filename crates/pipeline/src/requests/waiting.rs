//! Which texts go in the next request, and how long it waits for more.

use std::time::Duration;

use super::{Part, Wish};

/// The part of the time of the last answer that a request waits for texts of other jobs.
const LINGER: u32 = 10;
/// The longest of these waits.
const LONGEST_LINGER: Duration = Duration::from_millis(20);

/// What jobs and requests have in common.
#[derive(Default)]
pub(super) struct State {
    /// Jobs that are buying.
    pub(super) buyers: usize,
    /// Those that wait for the next request.
    pub(super) waiting: Vec<Part>,
    /// A task makes requests of them.
    pub(super) is_filling: bool,
    /// Tokens that were sent and are not reserved yet.
    pub(super) owed: usize,
    /// How long the last answer took.
    took: Duration,
    /// Texts that the service takes in one request, if it has refused as many as the settings allow; 0 = not known.
    taken: usize,
}

impl Wish {
    pub(super) fn fills_a_request(&self) -> bool {
        self.embedder.service().is_none_or(|service| {
            let bounds = service.bounds();
            self.texts.len() >= bounds.inputs || self.tokens >= bounds.most_tokens()
        })
    }
}

impl State {
    /// Which of those that wait go with the first of them, and their tokens.
    pub(super) fn fitting(&mut self) -> (Vec<usize>, usize) {
        self.waiting.retain(|part| !part.seat.is_closed());
        let Some(first) = self.waiting.first() else { return (Vec::new(), 0) };
        let Some(service) = first.wish.embedder.service() else { return (vec![0], 0) };
        let (bounds, model) = (service.bounds(), first.wish.embedder.model());
        let most = if self.taken == 0 { bounds.inputs } else { bounds.inputs.min(self.taken) };
        let (mut fitting, mut texts, mut tokens) = (Vec::new(), 0, 0);
        for (n, Part { wish, .. }) in self.waiting.iter().enumerate() {
            let fits = texts + wish.texts.len() <= most && tokens + wish.tokens <= bounds.most_tokens();
            if n == 0 || (fits && wish.embedder.model() == model) {
                fitting.push(n);
                (texts, tokens) = (texts + wish.texts.len(), tokens + wish.tokens);
            }
        }
        (fitting, tokens)
    }

    /// Takes the texts of the next request, for which so many tokens are reserved.
    pub(super) fn take(&mut self, reserved: usize) -> Vec<Part> {
        let (fitting, tokens) = self.fitting();
        self.owed = tokens.saturating_sub(reserved);
        fitting.into_iter().rev().map(|n| self.waiting.remove(n)).collect()
    }

    /// How long a request waits for texts of other jobs: not at all if all that buy are in it.
    pub(super) fn linger(&self) -> Duration {
        if self.buyers > self.waiting.len() { (self.took / LINGER).min(LONGEST_LINGER) } else { Duration::ZERO }
    }

    pub(super) fn answered(&mut self, texts: usize, took: Duration) {
        self.took = took;
        // It may take more than it is given, now or by another model.
        if self.taken != 0 && texts >= self.taken {
            self.taken += 1;
        }
    }

    pub(super) fn refused(&mut self, texts: usize) {
        self.taken = (texts / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_refusal_fewer_texts_are_joined_and_more_again_while_they_are_taken() {
        let mut state = State::default();
        state.answered(32, Duration::ZERO);
        assert_eq!(state.taken, 0, "nothing is known");
        state.refused(32);
        state.answered(3, Duration::ZERO);
        assert_eq!(state.taken, 16, "few texts say nothing");
        state.answered(16, Duration::ZERO);
        assert_eq!(state.taken, 17);
        state.refused(1);
        assert_eq!(state.taken, 1);
    }

    #[test]
    fn a_request_waits_for_others_only_if_there_are_some_and_never_long() {
        let mut state = State { buyers: 1, took: Duration::from_millis(100), ..State::default() };
        assert_eq!(state.linger(), Duration::from_millis(10));
        state.took = Duration::from_secs(9);
        assert_eq!(state.linger(), LONGEST_LINGER);
        state.buyers = 0;
        assert_eq!(state.linger(), Duration::ZERO);
    }
}
