//! Cancels and redrives a job for its owner. All jobs of its document are locked meanwhile, so that the job is as the
//! owner saw it, and the document gets no second live job.

use crate::{
    documents::lock_jobs_of_document,
    versions::{stage_reading, touch_version},
};
use domain::{Code, JobId, State, Status, UserId};
use pg::{Db, DbError};

use super::{Job, cancel_job, get_job, get_live_sibling, read_job_again, redrive_job};

/// Whether a job is as its owner saw it; checked while nothing can change it.
pub type Expected<'a> = Option<&'a (dyn Fn(&Job) -> bool + Send + Sync)>;

/// The result of a cancellation.
#[derive(Debug, Clone)]
pub enum Cancelling {
    /// Stopped; the job as it is now.
    Stopped(Box<Job>),
    /// It had ended; the job as it is.
    Ended(Box<Job>),
    /// It has changed since it was seen.
    Changed,
    /// No such job of this user.
    NotFound,
}

/// Stops `user`'s job if it has not ended and is as `expected`.
pub async fn cancel_owned_job(
    db: &Db,
    user: UserId,
    job_id: JobId,
    expected: Expected<'_>,
) -> Result<Cancelling, DbError> {
    db.run_tx("cancel_owned_job", move |tx| {
        Box::pin(async move {
            let Some(job) = get_job(&tx, user, job_id).await? else { return Ok(Cancelling::NotFound) };
            lock_jobs_of_document(&tx, job.document_id).await?;
            // Read again now that nothing can change it.
            let Some(job) = get_job(&tx, user, job_id).await? else { return Ok(Cancelling::NotFound) };
            if expected.is_some_and(|expected| !expected(&job)) {
                return Ok(Cancelling::Changed);
            }
            if !cancel_job(&tx, user, job_id).await? {
                return Ok(Cancelling::Ended(Box::new(job)));
            }
            Ok(get_job(&tx, user, job_id).await?.map_or(Cancelling::NotFound, |job| Cancelling::Stopped(Box::new(job))))
        })
    })
    .await
}

/// The result of a redrive.
#[derive(Debug, Clone)]
pub enum Redriven {
    /// Queued; the job as it is now.
    Queued(Box<Job>),
    /// No such job of this user.
    NotFound,
    /// Running, or done and no earlier status was named; the job as it is.
    Refused(Box<Job>),
    /// `from` lies behind what was reached; the job as it is.
    TooFar(Box<Job>),
    /// Another job of the document has not ended.
    Busy(JobId),
    /// Another try would end as the last did, for the reason that this code says; the job as it is.
    Helpless(Code, Box<Job>),
    /// It has changed since it was seen.
    Changed,
}

/// Queues `user`'s job again, from `from` or from its last good checkpoint, if it is as `expected`. A complete document can be
/// searched as it is until the job is complete again.
pub async fn redrive_owned_job(
    db: &Db,
    user: UserId,
    job_id: JobId,
    from: Option<Status>,
    expected: Expected<'_>,
) -> Result<Redriven, DbError> {
    db.run_tx("redrive_owned_job", move |tx| {
        Box::pin(async move {
            let Some(job) = get_job(&tx, user, job_id).await? else { return Ok(Redriven::NotFound) };
            lock_jobs_of_document(&tx, job.document_id).await?;
            // Read again now that nothing can change it.
            let Some(job) = get_job(&tx, user, job_id).await? else { return Ok(Redriven::NotFound) };
            if expected.is_some_and(|expected| !expected(&job)) {
                return Ok(Redriven::Changed);
            }
            if from.is_some_and(|from| place(from) > place(job.checkpoint_reached())) {
                return Ok(Redriven::TooFar(Box::new(job)));
            }
            if let Some(sibling) = get_live_sibling(&tx, job_id).await? {
                return Ok(Redriven::Busy(sibling));
            }
            if let Some(needed) = job.retry_needs() {
                return Ok(Redriven::Helpless(needed, Box::new(job)));
            }
            if job.state == State::Working || job.state == State::Done && from.is_none() {
                return Ok(Redriven::Refused(Box::new(job)));
            }
            stage_reading(&tx, job_id, from.unwrap_or(job.checkpoint_reached())).await?;
            touch_version(&tx, job_id).await?;
            if !redrive_job(&tx, user, job_id, from).await? {
                return Ok(Redriven::Refused(Box::new(job)));
            }
            Ok(get_job(&tx, user, job_id).await?.map_or(Redriven::NotFound, |job| Redriven::Queued(Box::new(job))))
        })
    })
    .await
}

/// Queues `user`'s complete job to read its document again from `from`, behind all others. The document can be searched as it is
/// until the reading is complete.
pub async fn read_owned_job_again(db: &Db, user: UserId, job_id: JobId, from: Status) -> Result<Redriven, DbError> {
    db.run_tx("read_owned_job_again", move |tx| {
        Box::pin(async move {
            let Some(job) = get_job(&tx, user, job_id).await? else { return Ok(Redriven::NotFound) };
            lock_jobs_of_document(&tx, job.document_id).await?;
            // Read again now that nothing can change it.
            let Some(job) = get_job(&tx, user, job_id).await? else { return Ok(Redriven::NotFound) };
            if let Some(sibling) = get_live_sibling(&tx, job_id).await? {
                return Ok(Redriven::Busy(sibling));
            }
            if job.is_version_gone || (job.state, job.status) != (State::Done, Status::Complete) {
                return Ok(Redriven::Refused(Box::new(job)));
            }
            stage_reading(&tx, job_id, from).await?;
            touch_version(&tx, job_id).await?;
            if !read_job_again(&tx, user, job_id, from).await? {
                return Ok(Redriven::Refused(Box::new(job)));
            }
            Ok(get_job(&tx, user, job_id).await?.map_or(Redriven::NotFound, |job| Redriven::Queued(Box::new(job))))
        })
    })
    .await
}

fn place(status: Status) -> usize {
    Status::ALL.iter().position(|other| *other == status).unwrap_or(0)
}

impl Job {
    /// How far the document has come for good: for a failed job, the status that `failed_*` replaced.
    pub fn checkpoint_reached(&self) -> Status {
        match self.status {
            Status::FailedParse | Status::FailedChunking | Status::FailedEmbedding => {
                self.checkpoint().unwrap_or(Status::Uploaded)
            }
            other => other,
        }
    }
}
