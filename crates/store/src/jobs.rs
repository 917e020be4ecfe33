//! The table `upload_jobs`: the queue.
//!
//! Time is the database's clock. A test that wants another gives `now`, which every statement here that compares
//! times falls back from: `coalesce($1, now())`.

mod claim;
mod completion;
mod enqueue;
mod lease;
mod outcome;
mod owner;
mod read;
mod redrive;
mod redrive_many;
mod retype;
mod sql;

pub use claim::{ClaimOptions, Outlook, claim_jobs, claim_suspect, get_outlook, served_last, suspect_waits};
pub use completion::complete_jobs;
pub use completion::{Completer, Completion, Ending};
pub use enqueue::{NewJob, enqueue_jobs, requeue_awaiting_job};
pub use lease::{Beat, beat_heart, get_checkpoint, hand_back_unheld, release_expired_jobs};
pub use outcome::{
    Failed, advance_job, fail_job, finish_duplicate, hand_back_job, lock_lease, pause_job, retry_job, save_progress,
    snooze_job,
};
pub use owner::{cancel_job, redrive_job};
pub use read::{Job, JobFilter, get_job, get_live_sibling, list_jobs};
pub use redrive::{Cancelling, Expected, Redriven, cancel_owned_job, redrive_owned_job};
pub use redrive_many::{Candidate, FailedFilter, list_candidates, list_failed_jobs};
pub use retype::{Retyped, retype_document};
pub(crate) use sql::{ENDED, FENCED, LIVE, WAITING};
