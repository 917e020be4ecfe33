//! Trying a job again for its owner, with everything held that could make a second live job of its document.

use crate::{
    db::{Db, DbError, documents::lock_jobs_of_document},
    domain::{JobId, Status, UserId},
};

use super::{Job, get_job, get_live_sibling, redrive_job};

/// What became of the wish to try again.
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
}

/// Queues `user`'s job again, from `from` or from its last good checkpoint.
pub async fn redrive_owned_job(
    db: &Db,
    user: UserId,
    job_id: JobId,
    from: Option<Status>,
) -> Result<Redriven, DbError> {
    db.run_tx("redrive_owned_job", move |tx| {
        Box::pin(async move {
            let Some(job) = get_job(&tx, user, job_id).await? else { return Ok(Redriven::NotFound) };
            lock_jobs_of_document(&tx, job.document_id).await?;
            // Read again now that nothing can change it.
            let Some(job) = get_job(&tx, user, job_id).await? else { return Ok(Redriven::NotFound) };
            if from.is_some_and(|from| place(from) > place(job.checkpoint_reached())) {
                return Ok(Redriven::TooFar(Box::new(job)));
            }
            if let Some(sibling) = get_live_sibling(&tx, job_id).await? {
                return Ok(Redriven::Busy(sibling));
            }
            if !redrive_job(&tx, user, job_id, from).await? {
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
