//! Fixed sets of label values.

use domain::named;

/// The methods that have their own label value.
pub(super) const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];
/// The classes of a response's status.
pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

named! {
    /// The result of one attempt to claim jobs.
    ClaimOutcome {
        /// At least one job was claimed.
        Claimed = "claimed",
        /// There was no job to claim.
        Empty = "empty",
        /// The database reported an error or could not be reached.
        Failed = "failed",
    }
}

named! {
    /// How a step ended.
    StepOutcome {
        /// The next checkpoint was written.
        Advanced = "advanced",
        /// The job ended: complete or duplicate.
        Finished = "finished",
        /// The job waits for an outside service.
        Snoozed = "snoozed",
        /// The step failed. The job's further course is counted with the failure's code.
        Failed = "failed",
        /// Another worker has the job, or it was cancelled.
        LeaseLost = "lease_lost",
        /// The job was handed back because the process stops.
        HandedBack = "handed_back",
    }
}

named! {
    /// The kind of a call to a provider.
    ProviderCall {
        /// Sends a file.
        Upload = "upload",
        /// Starts a job, which is what the provider charges for.
        Start = "start",
        /// Asks for the status of a job.
        Look = "look",
        /// Fetches the result of a job.
        Fetch = "fetch",
        /// Turns texts into vectors, which is what the provider charges for.
        Embed = "embed",
        /// Checks that the API key is accepted.
        Probe = "probe",
        /// Judges the hits of a search.
        Rerank = "rerank",
    }
}
