//! The table `webhook_log`: webhooks that were accepted, each once.

use std::net::IpAddr;

use domain::JobId;
use pg::{DbError, Session};

/// A webhook whose sender was verified.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Names this delivery and every repetition of it.
    pub webhook_id: &'a str,
    /// The job that its URL names.
    pub job_id: JobId,
    /// The sender's address, if known.
    pub ip_address: Option<IpAddr>,
    /// SHA-256 of the body, 64 lower-case hex digits.
    pub payload_hash: &'a str,
}

/// What a webhook did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signalled {
    /// The job waited, and is due now.
    Woken,
    /// A worker runs the job and will ask the provider once more.
    Noted,
    /// The job waits for no provider.
    Nothing,
    /// The same delivery was accepted before.
    Replayed,
    /// There is no such job.
    NoJob,
}

/// Logs the webhook and, if it is new, makes its job due now. It changes no status and takes nothing from the body: the
/// worker asks the provider for the result. A job that does not wait for a provider stays unchanged.
pub async fn signal_job(db: &impl Session, delivery: Delivery<'_>) -> Result<Signalled, DbError> {
    // EXISTS, not the foreign key's refusal: a job that is deleted in between fails the INSERT, which is a 5xx and a retry.
    let (found, is_new, state): (bool, bool, Option<String>) = db
        .one(
            "-- signal_job
WITH job AS MATERIALIZED (
  SELECT j.job_id
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.job_id = $2
),
logged AS (
  INSERT INTO upload_pipeline.webhook_log (webhook_id, job_id, ip_address, payload_hash)
  SELECT $1, job.job_id, $3, $4
  FROM job
  ON CONFLICT (webhook_id) DO NOTHING
  RETURNING job_id
),
signalled AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET run_at = CASE WHEN j.state = 'queued' THEN least(j.run_at, now()) ELSE j.run_at END,
      signalled_at = CASE WHEN j.state = 'working' THEN clock_timestamp() ELSE j.signalled_at END
  FROM logged
  WHERE j.job_id = logged.job_id
    AND ((j.state = 'queued' AND j.status = 'parse_queued')
      OR (j.state = 'working' AND j.status IN ('uploaded', 'parse_queued')))
  RETURNING j.state
)
SELECT EXISTS (SELECT FROM job) AS found, EXISTS (SELECT FROM logged) AS is_new,
  (SELECT signalled.state FROM signalled) AS state",
            &[&delivery.webhook_id, &delivery.job_id.0, &delivery.ip_address, &delivery.payload_hash],
        )
        .await?;
    Ok(match (found, is_new, state.as_deref()) {
        (false, ..) => Signalled::NoJob,
        (true, false, _) => Signalled::Replayed,
        (true, true, Some("queued")) => Signalled::Woken,
        (true, true, Some(_)) => Signalled::Noted,
        (true, true, None) => Signalled::Nothing,
    })
}
