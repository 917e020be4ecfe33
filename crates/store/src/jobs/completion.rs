//! Ends jobs as `complete`: one fenced statement for all jobs that end at the same time.
//!
//! A completion is a commit, and a commit costs a flush of the log. Completions that arrive while one is being written
//! wait for it and then share the next statement. A single completion does not wait.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::words::{IndexedWords, replace_words};
use domain::{DocumentId, Fence, Lease, ports::EmbedModel};
use pg::{Db, DbError, Session, column};

/// Completions in one statement: as many as a worker may have jobs. Measured in docs/performance.md: twenty
/// times as quick as one each; values between were not measured.
const MAX_BATCH: usize = 1000;

/// A job that has done its last step.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    fence: Fence,
    document_id: DocumentId,
    took: Duration,
}

impl Ending {
    /// The end of the leased job; `took`: how long its last step ran.
    pub fn of(lease: &Lease, took: Duration) -> Self {
        Self { fence: lease.fence, document_id: lease.document_id, took }
    }
}

/// What became of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The document is complete.
    Done,
    /// Some chunks have no vector of the active model: the document goes back to the embed step.
    Missing {
        /// Chunks of the document.
        chunks: i64,
        /// Those with a vector of the active model.
        embedded: i64,
    },
}

struct Request {
    ending: Ending,
    model: EmbedModel,
    words: Option<Arc<IndexedWords>>,
    answer: oneshot::Sender<Result<Completion, DbError>>,
}

/// Ends jobs whose every chunk has a vector of `model`.
pub struct Completer {
    db: Db,
    max_batch: usize,
    requests: OnceLock<mpsc::UnboundedSender<Request>>,
}

impl Completer {
    /// One for a worker process.
    pub fn new(db: Db) -> Self {
        Self::with_batch(db, MAX_BATCH)
    }

    /// The same, with at most `max_batch` completions in one statement; one and more.
    pub fn with_batch(db: Db, max_batch: usize) -> Self {
        Self { db, max_batch, requests: OnceLock::new() }
    }

    /// Ends the job as `complete`, which takes a vector of `model` for every chunk, counted in the same statement, and puts
    /// `words` into the index in the same transaction.
    ///
    /// # Errors
    ///
    /// The lease is lost, or the database does not answer. A caller that stops waiting changes nothing: what was asked is
    /// still written, if the lease holds.
    pub async fn complete(
        &self,
        ending: Ending,
        words: Option<IndexedWords>,
        model: &EmbedModel,
    ) -> Result<Completion, DbError> {
        let (answer, answered) = oneshot::channel();
        let request = Request { ending, model: model.clone(), words: words.map(Arc::new), answer };
        let requests = self.requests.get_or_init(|| {
            let (sender, receiver) = mpsc::unbounded_channel();
            tokio::spawn(write_all(self.db.clone(), receiver, self.max_batch));
            sender
        });
        // The writer ends with the runtime only, and so does this caller.
        let _ = requests.send(request);
        answered.await.unwrap_or(Err(DbError::LeaseLost { job_id: ending.fence.job_id }))
    }
}

/// Writes requests, all that have arrived in one statement. Ends with the last sender.
async fn write_all(db: Db, mut requests: mpsc::UnboundedReceiver<Request>, max_batch: usize) {
    let mut batch = Vec::new();
    while requests.recv_many(&mut batch, max_batch).await > 0 {
        // Callers that are about to ask may join.
        tokio::task::yield_now().await;
        while batch.len() < max_batch
            && let Ok(request) = requests.try_recv()
        {
            batch.push(request);
        }
        let mut batch = std::mem::take(&mut batch);
        // Around a change of model there are two.
        while let Some(first) = batch.first() {
            let model = first.model.clone();
            let (of_model, others) = batch.into_iter().partition(|request| request.model == model);
            write_and_answer(&db, &model, of_model).await;
            batch = others;
        }
    }
}

async fn write_and_answer(db: &Db, model: &EmbedModel, batch: Vec<Request>) {
    match write(db, model, &batch).await {
        Err(DbError::Statement { sqlstate: Some(_), .. }) if batch.len() > 1 => {
            // The server refused the statement: one request is wrong, and must not fail the others.
            for request in batch {
                let result = write(db, model, std::slice::from_ref(&request)).await;
                answer(vec![request], result);
            }
        }
        result => answer(batch, result),
    }
}

fn answer(batch: Vec<Request>, result: Result<Vec<Result<Completion, DbError>>, DbError>) {
    match result {
        Ok(completions) => {
            for (request, completion) in batch.into_iter().zip(completions) {
                let _ = request.answer.send(completion);
            }
        }
        Err(error) => {
            for request in batch {
                let _ = request.answer.send(Err(error.clone()));
            }
        }
    }
}

/// The completions of the batch, in its order.
async fn write(db: &Db, model: &EmbedModel, batch: &[Request]) -> Result<Vec<Result<Completion, DbError>>, DbError> {
    let endings: Vec<Ending> = batch.iter().map(|request| request.ending).collect();
    let words: Vec<Option<Arc<IndexedWords>>> = batch.iter().map(|request| request.words.clone()).collect();
    if words.iter().all(Option::is_none) {
        return complete_jobs(db, &endings, model).await;
    }
    db.run_tx("complete_jobs", |tx| {
        let (endings, words) = (&endings, &words);
        Box::pin(async move {
            let completions = complete_jobs(&tx, endings, model).await?;
            for ((ending, words), completion) in endings.iter().zip(words).zip(&completions) {
                if let (Some(words), Ok(Completion::Done)) = (words, completion) {
                    replace_words(&tx, ending.document_id, words).await?;
                }
            }
            Ok(completions)
        })
    })
    .await
}

/// Ends those of the jobs whose documents have a vector of `model` for every chunk. All have one worker.
pub async fn complete_jobs(
    db: &impl Session,
    endings: &[Ending],
    model: &EmbedModel,
) -> Result<Vec<Result<Completion, DbError>>, DbError> {
    let Some(first) = endings.first() else { return Ok(Vec::new()) };
    let jobs: Vec<Uuid> = endings.iter().map(|ending| ending.fence.job_id.0).collect();
    let epochs: Vec<i64> = endings.iter().map(|ending| ending.fence.epoch).collect();
    let documents: Vec<Uuid> = endings.iter().map(|ending| ending.document_id.0).collect();
    let took: Vec<i64> =
        endings.iter().map(|ending| i64::try_from(ending.took.as_millis()).unwrap_or(i64::MAX)).collect();
    let rows = db
        .rows(
            "-- complete_jobs
SELECT c.*
FROM upload_pipeline.complete_jobs(
  p_worker => $1, p_jobs => $2, p_epochs => $3, p_took => $4, p_documents => $5, p_model => $6, p_version => $7, p_dim => $8) AS c",
            &[
                &first.fence.worker.0,
                &jobs,
                &epochs,
                &took,
                &documents,
                &model.name,
                &model.version,
                &i32::try_from(model.dim).unwrap_or(i32::MAX),
            ],
        )
        .await?;
    let mut done = HashSet::new();
    let mut counted = HashMap::new();
    for row in &rows {
        match column::<Option<Uuid>>(row, "job_id")? {
            Some(job) => {
                done.insert(job);
            }
            None => {
                let document: Uuid = column(row, "document_id")?;
                counted.insert(document, (column::<i64>(row, "chunks")?, column::<i64>(row, "embedded")?));
            }
        }
    }
    Ok(endings.iter().map(|ending| completion_of(ending, &done, &counted)).collect())
}

fn completion_of(
    ending: &Ending,
    done: &HashSet<Uuid>,
    counted: &HashMap<Uuid, (i64, i64)>,
) -> Result<Completion, DbError> {
    if done.contains(&ending.fence.job_id.0) {
        return Ok(Completion::Done);
    }
    let (chunks, embedded) = counted.get(&ending.document_id.0).copied().unwrap_or((0, 0));
    if chunks == embedded && chunks > 0 {
        // All vectors are there, yet the job was not ended: the lease is lost. Where vectors are missing, the lease may
        // be lost as well; the caller's next write finds out.
        return Err(DbError::LeaseLost { job_id: ending.fence.job_id });
    }
    Ok(Completion::Missing { chunks, embedded })
}
