//! Fixed sets of label values.

/// The methods that have their own label value.
pub(super) const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];
/// The classes of a response's status.
pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The result of one attempt to claim jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// At least one job was claimed.
    Claimed,
    /// There was no job to claim.
    Empty,
    /// The database reported an error or could not be reached.
    Failed,
}

impl ClaimOutcome {
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
    /// The next checkpoint was written.
    Advanced,
    /// The job ended: complete or duplicate.
    Finished,
    /// The job waits for an outside service.
    Snoozed,
    /// The step failed. The job's further course is counted with the failure's code.
    Failed,
    /// Another worker has the job, or it was cancelled.
    LeaseLost,
    /// The job was handed back because the process stops.
    HandedBack,
}

impl StepOutcome {
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

/// The kind of a call to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderCall {
    /// Sends a file.
    Upload,
    /// Starts a job, which is what the provider charges for.
    Start,
    /// Asks for the status of a job.
    Look,
    /// Fetches the result of a job.
    Fetch,
    /// Checks that the API key is accepted.
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
