//! The table `model_switch`: the change of model that is going on. Which model search reads says `active_model` alone.

mod finish;
mod read;

use crate::{
    active_model::ActiveModel,
    beside::{is_refused, lacks_vector},
    jobs::LET_GO,
};
use domain::ports::EmbedModel;
use pg::{Db, DbError, FromRow, Session};

pub use finish::{delete_other_vectors, end_model_switch, finish_model_switch};
pub use read::{
    ReembedCounts, ReembedJob, ReembedPlan, count_left_behind, count_old_workers, count_recent_vectors,
    count_reembedded, list_reembed_jobs, list_refused_codes, plan_reembedding, sample_texts,
};

/// The priority of a run's jobs: behind those of all documents, which have 0.
pub const REEMBED_PRIORITY: i16 = 1000;
/// For `upload_jobs.enqueued_by`.
const ENQUEUED_BY: &str = "reembed";
/// The first schema whose builds know a change of model.
pub const FIRST_SCHEMA: i32 = 17;

/// A change of model.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct ModelSwitch {
    /// `running`, `finishing` or `finished`.
    pub state: String,
    /// The new model, as in [`ActiveModel`].
    pub model: String,
    /// The version of its vectors.
    pub version: String,
    /// Components of its vectors.
    pub vector_dim: i32,
    /// Who computes them.
    pub provider: String,
    /// The model before.
    pub from_model: String,
    /// The version of its vectors.
    pub from_version: String,
    /// Components of its vectors.
    pub from_dim: i32,
    /// Who computed them.
    pub from_provider: String,
    /// Passages a minute of all jobs together; 0 = no limit.
    pub passages_per_minute: i32,
    /// Whether the new model is the active one.
    pub is_switched: bool,
    /// Whether it is, or has been.
    pub was_switched: bool,
    /// Seconds since the active model became the active one.
    pub active_for_seconds: f64,
}

impl ModelSwitch {
    /// Whether both models have vectors.
    pub fn is_running(&self) -> bool {
        self.state == "running"
    }

    /// Whether the vectors of the model that is not active are gone.
    pub fn is_finished(&self) -> bool {
        self.state == "finished"
    }

    /// The new model.
    pub fn new_model(&self) -> ActiveModel {
        ActiveModel {
            model: self.model.clone(),
            version: self.version.clone(),
            vector_dim: self.vector_dim,
            provider: self.provider.clone(),
        }
    }

    /// The model before.
    pub fn old_model(&self) -> ActiveModel {
        ActiveModel {
            model: self.from_model.clone(),
            version: self.from_version.clone(),
            vector_dim: self.from_dim,
            provider: self.from_provider.clone(),
        }
    }

    /// The models whose vectors the run makes, that of searches first. Those of the model before are made only after a way back, for
    /// documents that have come since the switch.
    pub fn wanted(&self) -> Vec<ActiveModel> {
        let is_back = self.was_switched && !self.is_switched;
        let old = is_back.then(|| self.old_model());
        old.into_iter().chain([self.new_model()]).collect()
    }

    /// The model of searches.
    pub fn active(&self) -> ActiveModel {
        if self.is_switched { self.new_model() } else { self.old_model() }
    }
}

/// The change of model that is going on, or the last one; `None`: there was none.
pub async fn get_model_switch(db: &impl Session) -> Result<Option<ModelSwitch>, DbError> {
    db.find(
        "-- get_model_switch
SELECT s.state, s.model, s.version, s.vector_dim, s.provider, s.from_model, s.from_version, s.from_dim, s.from_provider,
  s.passages_per_minute, (a.model, a.version) = (s.model, s.version) AS is_switched,
  a.since > s.started_at AS was_switched,
  extract(epoch FROM now() - a.since)::float8 AS active_for_seconds
FROM upload_pipeline.model_switch AS s
CROSS JOIN upload_pipeline.active_model AS a",
        &[],
    )
    .await
}

/// Begins a change from the active model to `model`, which `provider` computes, with `jobs` jobs. Whether it was begun: not while
/// another is going on, and not to the active model.
pub async fn begin_model_switch(
    db: &Db,
    model: &EmbedModel,
    provider: &str,
    passages_per_minute: i32,
    jobs: i32,
) -> Result<bool, DbError> {
    db.run_tx("begin_model_switch", |tx| {
        Box::pin(async move {
            let begun = insert_model_switch(&tx, model, provider, passages_per_minute).await?;
            if begun {
                insert_reembed_jobs(&tx, jobs).await?;
            }
            Ok(begun)
        })
    })
    .await
}

async fn insert_model_switch(
    tx: &impl Session,
    model: &EmbedModel,
    provider: &str,
    passages_per_minute: i32,
) -> Result<bool, DbError> {
    tx.run_any(
        "-- insert_model_switch
INSERT INTO upload_pipeline.model_switch AS s (model, version, vector_dim, provider, from_model, from_version, from_dim,
  from_provider, passages_per_minute)
SELECT $1, $2, $3, $4, a.model, a.version, a.vector_dim, a.provider, $5
FROM upload_pipeline.active_model AS a
WHERE (a.model, a.version) <> ($1, $2)
ON CONFLICT (only_one) DO UPDATE
SET state = 'running', model = excluded.model, version = excluded.version, vector_dim = excluded.vector_dim,
    provider = excluded.provider, from_model = excluded.from_model, from_version = excluded.from_version,
    from_dim = excluded.from_dim, from_provider = excluded.from_provider,
    passages_per_minute = excluded.passages_per_minute, started_at = now(), finished_at = NULL
WHERE s.state = 'finished'",
        &[&model.name, &model.version, &crate::beside::dim(model), &provider, &passages_per_minute],
    )
    .await
}

/// The user of each is a random id that no user has: the bound of running jobs a user does not hold up a run, and no user's list
/// shows it.
async fn insert_reembed_jobs(tx: &impl Session, jobs: i32) -> Result<(), DbError> {
    tx.exec(
        "-- insert_reembed_jobs
INSERT INTO upload_pipeline.upload_jobs (job_id, user_id, status, state, priority, enqueued_by, progress)
SELECT gen_random_uuid(), gen_random_uuid(), 'chunks_stored', 'queued', $1, $2, jsonb_build_object('part', n.part, 'parts', $3)
FROM generate_series(0, $3 - 1) AS n (part)",
        &[&REEMBED_PRIORITY, &ENQUEUED_BY, &jobs],
    )
    .await
}

/// Lets a run go on: jobs that were given up begin again, waits end, refused texts are tried once more, and the rate is the one that is
/// given.
pub async fn resume_model_switch(db: &Db, passages_per_minute: i32) -> Result<(), DbError> {
    db.run_tx("resume_model_switch", |tx| {
        Box::pin(async move {
            tx.exec(
                "-- set_passages_per_minute
UPDATE upload_pipeline.model_switch AS s
SET passages_per_minute = $1",
                &[&passages_per_minute],
            )
            .await?;
            tx.run(
                "-- unpack_refused
DELETE FROM upload_pipeline.packed_vectors AS p
USING upload_pipeline.search_documents AS s, upload_pipeline.refused_texts AS r
WHERE s.document_no = p.document_no AND r.document_id = s.document_id",
                &[],
            )
            .await?;
            tx.run("-- forget_refused\nDELETE FROM upload_pipeline.refused_texts AS r", &[]).await?;
            wake_reembed_jobs(&tx).await
        })
    })
    .await
}

/// Ends the waits of a run's jobs, and begins those again that were given up.
pub async fn wake_reembed_jobs(db: &impl Session) -> Result<(), DbError> {
    db.run(
        &format!(
            "-- wake_reembed_jobs
UPDATE upload_pipeline.upload_jobs AS j
SET {LET_GO}, state = 'queued', status = 'chunks_stored', retry_count = 0, crash_count = 0, run_at = now(), finished_at = NULL
WHERE j.document_id IS NULL AND j.state IN ('queued', 'retryable', 'deadletter')"
        ),
        &[],
    )
    .await
    .map(drop)
}

/// Makes the new model the active one, if nothing is missing of it, in one statement; whether it did. Passages that the service
/// refuses are in the way, unless `without_refused`.
pub async fn switch_model(db: &impl Session, without_refused: bool) -> Result<bool, DbError> {
    let lacks = lacks_vector("c", "s.model", "s.version", "s.vector_dim");
    let refused = is_refused("c");
    db.run_any(
        &format!(
            "-- switch_model
UPDATE upload_pipeline.active_model AS a
SET model = s.model, version = s.version, vector_dim = s.vector_dim, provider = s.provider, since = now()
FROM upload_pipeline.model_switch AS s
WHERE s.state = 'running' AND (a.model, a.version) = (s.from_model, s.from_version)
  AND NOT EXISTS (
    SELECT
    FROM upload_pipeline.documents AS d
    JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
    WHERE d.processing_status = 'complete' AND {lacks}
      AND NOT ($1 AND {refused}))"
        ),
        &[&without_refused],
    )
    .await
}

/// Makes the model before the active one again, in one statement; whether it did.
pub async fn roll_back_model(db: &impl Session) -> Result<bool, DbError> {
    db.run_any(
        "-- roll_back_model
UPDATE upload_pipeline.active_model AS a
SET model = s.from_model, version = s.from_version, vector_dim = s.from_dim, provider = s.from_provider, since = now()
FROM upload_pipeline.model_switch AS s
WHERE s.state = 'running' AND (a.model, a.version) = (s.model, s.version)",
        &[],
    )
    .await
}
