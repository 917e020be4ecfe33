//! Closed sets of label values.

/// Methods that requests are told apart by.
pub(super) const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];
/// Classes of an answer's status.
pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What a look for work came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// At least one job.
    Claimed,
    /// Nothing to do.
    Empty,
    /// The database did not answer.
    Failed,
}

impl ClaimOutcome {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Claimed, Self::Empty, Self::Failed];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Empty => "empty",
            Self::Failed => "failed",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutcome {
    /// The next checkpoint is written.
    Advanced,
    /// The job is over: complete or duplicate.
    Finished,
    /// Parked for something outside.
    Snoozed,
    /// It failed; what becomes of the job is counted with the failure's code.
    Failed,
    /// Somebody else has the job.
    LeaseLost,
    /// The process stops.
    HandedBack,
}

impl StepOutcome {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Advanced, Self::Finished, Self::Snoozed, Self::Failed, Self::LeaseLost, Self::HandedBack];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Advanced => "advanced",
            Self::Finished => "finished",
            Self::Snoozed => "snoozed",
            Self::Failed => "failed",
            Self::LeaseLost => "lease_lost",
            Self::HandedBack => "handed_back",
        }
    }
}

/// What was asked of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderCall {
    /// A file was sent.
    Upload,
    /// A job was begun: this is what costs.
    Start,
    /// How a job stands.
    Look,
    /// The answer.
    Fetch,
    /// Whether the key is taken.
    Probe,
}

impl ProviderCall {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Start => "start",
            Self::Look => "look",
            Self::Fetch => "fetch",
            Self::Probe => "probe",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Step;

    #[test]
    fn a_value_stands_at_its_own_number() {
        for (at, outcome) in ClaimOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at);
        }
        for (at, outcome) in StepOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at);
        }
        for (at, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, at);
        }
    }
}
