//! The states of a job and its fence as SQL text, named once; a statement's `upload_jobs` is `j`.

use crate::spending::TODAY;
use domain::Code;

/// The fence of a worker's write: `$1` job, `$2` worker, `$3` epoch.
///
/// `|| ''`: the plain comparison would let the planner take the index of running jobs instead of the primary key. After an
/// ANALYZE in a quiet moment it believes that index to be empty, and each statement would then read all running jobs.
pub(crate) const FENCED: &str =
    "j.job_id = $1 AND j.claimed_by = $2 AND j.lease_epoch = $3 AND j.state || '' = 'working'";
/// Whether the rows `job`, which a statement has changed, are of the active version of their document: its status is then the
/// job's. A job that makes another version, or reads the active one anew, leaves the document as it is.
pub(crate) const OF_ACTIVE: &str = "NOT EXISTS (
    SELECT FROM upload_pipeline.document_versions AS v
    WHERE v.document_id = job.document_id AND v.version_no = job.version_no)";
/// What becomes of a job's columns when its worker lets go of it.
pub(crate) const LET_GO: &str =
    "claimed_by = NULL, lease_expires_at = NULL, step_started_at = NULL, updated_at = now()";
/// States of a job that has not ended.
pub(crate) const LIVE: &str = "('queued', 'working', 'retryable')";
/// States of a job that waits for a worker: what the index of the claim holds.
pub(crate) const WAITING: &str = "('queued', 'retryable')";
/// States of a job that has ended.
pub(crate) const ENDED: &str = "('done', 'deadletter', 'cancelled')";

/// Jobs that wait for the next day because a cap of this one is used up.
pub(crate) fn capped() -> String {
    let [user, all] = [Code::UserDayCapReached, Code::DayCapReached].map(Code::as_str);
    format!(
        "j.state = 'queued' AND j.run_at >= ({TODAY} + 1)::timestamp AT TIME ZONE 'UTC'
  AND j.last_error ->> 'code' IN ('{user}', '{all}')"
    )
}
