//! Trials on the real tables, in transactions that are rolled back: whether a job gets from its INSERT to its end, and
//! whether the constraints accept and refuse what they should.

use std::time::Duration;

use uuid::Uuid;

use super::jobs::{ClaimOptions, Completion, Ending, claim_jobs, complete_jobs};
use domain::{JobId, State, Status, WorkerId, ports::EmbedModel};
use pg::{Db, DbError, FromRow, Session};

/// A statement of a trial that takes longer waits for another session's lock.
const PATIENCE: Duration = Duration::from_secs(3);

/// Lists the sessions that others wait for; for an operator to run.
pub const LIST_BLOCKERS: &str = "SELECT a.pid, a.state, a.query FROM pg_stat_activity AS a WHERE a.pid IN (SELECT \
    unnest(pg_blocking_pids(w.pid)) FROM pg_stat_activity AS w)";

/// The steps of a trial job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TripStep {
    /// Its INSERT, as the contract has it.
    Insert,
    /// Its claim.
    Claim,
    /// Its end as complete.
    Complete,
}

/// Takes a job through the queue: inserted as another program would, claimed, its lease held, completed.
///
/// # Errors
///
/// The step that did not succeed, and the database's error; `None`: it was done, but not for this job.
pub async fn run_queue_trip(db: &Db) -> Result<(), (TripStep, Option<DbError>)> {
    let trip = db.run_rolled_back("queue_trip", PATIENCE, |tx| Box::pin(async move { Ok(trip(&tx).await) }));
    trip.await.unwrap_or_else(|error| Err((TripStep::Insert, Some(error))))
}

async fn trip(tx: &impl Session) -> Result<(), (TripStep, Option<DbError>)> {
    let at = |step| move |error| (step, Some(error));
    let job = insert_first_job(tx).await.map_err(at(TripStep::Insert))?;
    let options = ClaimOptions { lease: Duration::from_secs(30), max_running_per_user: 0, now: None };
    let claimed = claim_jobs(tx, WorkerId::generate(), 1, None, options).await.map_err(at(TripStep::Claim))?;
    let lease = claimed.into_iter().find(|lease| lease.fence.job_id == job).ok_or((TripStep::Claim, None))?;
    let model = EmbedModel { name: "check".to_owned(), version: "1".to_owned(), dim: 2, max_tokens: 2 };
    let ending = Ending::of(&lease, Duration::ZERO);
    match complete_jobs(tx, &[ending], &model).await.map_err(at(TripStep::Complete))?.as_slice() {
        [Ok(Completion::Done)] => Ok(()),
        _ => Err((TripStep::Complete, None)),
    }
}

/// A document with one chunk and its vector, whose model is `check`.
async fn insert_document(tx: &impl Session) -> Result<Uuid, DbError> {
    let document = Uuid::new_v4();
    tx.run(
        "-- trial_document
WITH document AS (
  INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
  VALUES ($1, $1, 'check.md', 'text/markdown', 1, $1::text, 'check/' || $1)
)
INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text, chunk_sha,
  embed_model, embed_version, vector_dim, embedding)
VALUES ($1, $1, 'check', '1', 0, 'check', 'check', 'check', '1', 2, '[1,0]')",
        &[&document],
    )
    .await?;
    Ok(document)
}

/// Inserts a job by the statement that the database contract promises to be enough, and puts it before every other.
async fn insert_first_job(tx: &impl Session) -> Result<JobId, DbError> {
    let (job, document) = (JobId::generate(), insert_document(tx).await?);
    tx.exec(
        "-- trial_job
INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, progress, created_at, updated_at)
VALUES ($1, $2, 'embeddings_stored', 'queued', '{}', NOW(), NOW())",
        &[&job.0, &document],
    )
    .await?;
    let sql = "-- trial_priority\nUPDATE upload_pipeline.upload_jobs SET priority = -32768 WHERE job_id = $1";
    tx.exec(sql, &[&job.0]).await?;
    Ok(job)
}

/// A pair that a job may be written with.
pub type Pair = (Status, State);

/// Every pair of status and state that this build can write.
pub fn writable_pairs() -> Vec<Pair> {
    let live = [State::Queued, State::Working, State::Retryable, State::Cancelled];
    let pairs_of = |status: &Status| match status {
        Status::Complete | Status::Duplicate => vec![(*status, State::Done)],
        Status::FailedParse | Status::FailedChunking | Status::FailedEmbedding => vec![(*status, State::Deadletter)],
        _ => live.map(|state| (*status, state)).to_vec(),
    };
    Status::ALL.iter().flat_map(pairs_of).collect()
}

/// The pairs of [`writable_pairs`] that the database refuses, with its message.
///
/// # Errors
///
/// The database does not answer.
pub async fn list_refused_pairs(db: &Db) -> Result<Vec<(Pair, String)>, DbError> {
    let names = |(status, state): &Pair| (status.as_str(), state.as_str());
    let all: Vec<_> = writable_pairs().iter().map(names).collect();
    // All at once, which a healthy database takes; one by one only where it refuses.
    if insert_pairs(db, &all).await?.is_none() {
        return Ok(Vec::new());
    }
    let mut refused = Vec::new();
    for pair in writable_pairs() {
        if let Some(message) = insert_pairs(db, &[names(&pair)]).await? {
            refused.push((pair, message));
        }
    }
    Ok(refused)
}

/// Malformed jobs: what is wrong, status, state.
const MALFORMED: [(&str, &str, &str); 3] = [
    ("an unknown status", "no_such_status", "queued"),
    ("an unknown state", "uploaded", "no_such_state"),
    ("a status that does not fit its state", "uploaded", "done"),
];

/// The malformed jobs that the database takes, in words.
///
/// # Errors
///
/// The database does not answer.
pub async fn list_accepted_nonsense(db: &Db) -> Result<Vec<&'static str>, DbError> {
    let mut accepted = Vec::new();
    for (what, status, state) in MALFORMED {
        if insert_pairs(db, &[(status, state)]).await?.is_none() {
            accepted.push(what);
        }
    }
    Ok(accepted)
}

/// Inserts jobs with these statuses and states, and rolls back; the message of a refusal, `None` if the database takes
/// them.
async fn insert_pairs(db: &Db, pairs: &[(&str, &str)]) -> Result<Option<String>, DbError> {
    let (statuses, states): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
    let inserted = db
        .run_rolled_back("trial_pairs", PATIENCE, |tx| {
            let (statuses, states) = (statuses.clone(), states.clone());
            Box::pin(async move {
                let document = insert_document(&tx).await?;
                tx.run(
                    "-- trial_pairs
INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, progress)
SELECT gen_random_uuid(), $1, pair.status, pair.state, '{}'
FROM unnest($2::text[], $3::text[]) AS pair (status, state)",
                    &[&document, &statuses, &states],
                )
                .await
            })
        })
        .await;
    match inserted {
        Ok(_) => Ok(None),
        Err(DbError::Statement { sqlstate: Some(code), message, .. }) if code.code().starts_with("23") => {
            Ok(Some(message))
        }
        Err(error) => Err(error),
    }
}

/// How the vectors that are there agree with the active model.
#[derive(Debug, Clone, FromRow)]
pub struct VectorFacts {
    /// Dimensions of the vectors of this model's name, among the chunks read.
    pub dims: Vec<i32>,
}

/// Looks at the chunks of the documents changed last.
///
/// # Errors
///
/// The database does not answer.
pub async fn get_vector_facts(db: &impl Session, model: &str) -> Result<VectorFacts, DbError> {
    db.one(
        "-- get_vector_facts
SELECT
  ARRAY(
    SELECT DISTINCT c.vector_dim
    FROM (
      SELECT j.document_id
      FROM upload_pipeline.upload_jobs AS j
      WHERE j.status = 'complete'
      ORDER BY j.job_id DESC
      LIMIT 20
    ) AS latest
    CROSS JOIN LATERAL (
      SELECT x.vector_dim
      FROM upload_pipeline.document_chunks AS x
      WHERE x.document_id = latest.document_id AND x.embed_model = $1 AND x.vector_dim IS NOT NULL
      LIMIT 20
    ) AS c
    ORDER BY 1
  ) AS dims",
        &[&model],
    )
    .await
}
