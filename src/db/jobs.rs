//! The table `upload_jobs`: the queue.
//!
//! Time is the database's clock. A test that wants another gives `now`, which every statement here that compares
//! times falls back from: `coalesce($1, now())`.

mod claim;
mod outcome;
mod owner;
mod read;
mod redrive;

pub use claim::{ClaimOptions, beat_heart, claim_jobs, claim_suspect, release_expired_jobs, suspect_waits};
pub use outcome::{
    Completion, Failed, advance_job, begin_step, complete_job, fail_job, finish_duplicate, hand_back_job, lock_lease,
    pause_job, retry_job, save_progress, snooze_job,
};
pub use owner::{cancel_job, redrive_job};
pub use read::{Job, get_job, get_live_sibling, list_jobs};
pub use redrive::{Redriven, redrive_owned_job};
