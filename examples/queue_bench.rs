//! The queue for scripts/bench_queue.py to compare with other queues: the real worker, database layer and schema, with
//! steps that do nothing.
//!
//! `queue_bench setup | enqueue1 N | enqueue8 N | enqueue N | worker | latency N | held N`, on the database of DATABASE_URL:
//! - `setup` creates the schema.
//! - `enqueue1` and `enqueue8` time N jobs, one job a call, from one client or from eight; `enqueue` sends a thousand jobs
//!   a call.
//! - `worker` runs until it is killed, and prints `P HANDLED EPOCH` whenever it has handled more jobs.
//! - `latency` measures the time from the enqueue call to the start of the step on an idle system.
//! - `held` times claims after N jobs were claimed while another session held a snapshot. The jobs belong to QUEUE_USERS
//!   users (default 1) with at most QUEUE_PER_USER running jobs each (0: no bound).
//!
//! With QUEUE_STEPS=all each job has its own document and runs all steps. Otherwise jobs share a few documents and start at
//! the last checkpoint, so that a job is one step. QUEUE_CONCURRENCY is the number of jobs at once (`held`: in one claim).
//! QUEUE_BATCH is the largest number of completions in one statement.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use async_trait::async_trait;
use domain::{
    DocumentId, Failure, JobId, Lease, Outcome, RetryPolicy, Status, Step, StepError, UserId, WorkerId,
    build_info::BuildInfo, ports::EmbedModel,
};
use pg::{ConnectTarget, Db, PoolOptions, Session, url::DatabaseUrl};
use queue::{Steps, Worker, WorkerSettings};
use serde_json::{Value, json};
use store::{
    Listener, Notifier,
    jobs::{ClaimOptions, Completer, Completion, Ending, NewJob, advance_job, claim_jobs, enqueue_jobs, served_last},
    migrations,
    workers::WorkerRow,
};
use tokio::{runtime::Handle, sync::Notify};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const USER: UserId = UserId(Uuid::from_u128(1));
/// Documents that one-step jobs use in turn. With a single document, every enqueue would wait for the lock on its row.
const DOCUMENTS: u64 = 64;
/// Jobs in one call of the bulk enqueue.
const BULK: usize = 1000;
/// Longest wait for a notification.
const NOTIFICATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Counters that the steps update.
#[derive(Default)]
struct Counters {
    jobs: AtomicU64,
    first_micros: AtomicU64,
    started: Notify,
}

/// Steps that only write their checkpoints.
struct EmptySteps {
    db: Db,
    completer: Completer,
    model: EmbedModel,
    first: Status,
    counters: Arc<Counters>,
}

#[async_trait]
impl Steps for EmptySteps {
    type Memory = ();

    async fn run_step(&self, lease: &Lease, step: Step, (): &mut ()) -> Result<Outcome, StepError> {
        if lease.status == self.first {
            if self.counters.jobs.fetch_add(1, Ordering::Relaxed) == 0 {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                self.counters.first_micros.store(u64::try_from(now.as_micros()).unwrap_or(0), Ordering::Relaxed);
            }
            self.counters.started.notify_one();
        }
        let to = match step {
            Step::Parse | Step::Collect => Status::Parsed,
            Step::Validate => Status::ParseValidated,
            Step::Chunk => Status::ChunksStored,
            Step::Embed => Status::EmbeddingsStored,
            Step::Finish => {
                let ending = Ending::of(lease, Duration::ZERO);
                return match self.completer.complete(ending, None, &self.model).await? {
                    Completion::Done => Ok(Outcome::Finished(Status::Complete)),
                    Completion::Missing { .. } => Err(StepError::LeaseLost),
                };
            }
        };
        let conn = self.db.get().await?;
        advance_job(&conn, lease, step, to, &json!({}), Duration::ZERO).await?;
        Ok(Outcome::Advanced(to))
    }

    async fn probe(&self) -> Result<(), Failure> {
        Ok(())
    }
}

struct Bench {
    db: Db,
    target: ConnectTarget,
    first: Status,
    concurrency: u32,
    jobs_made: AtomicU64,
    counters: Arc<Counters>,
}

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().context("a command is missing: see the head of this file")?;
    let count = arguments.next().map_or(Ok(0), |count| count.parse::<usize>())?;
    let bench = Bench::open()?;
    match command.as_str() {
        "setup" => bench.setup().await,
        "enqueue1" => print(&bench.time(count, bench.enqueue_singly(1, count)).await?),
        "enqueue8" => bench.enqueue_beside_a_listener(count).await,
        "enqueue" => print(&bench.time(count, bench.enqueue_in_bulk(count)).await?),
        "worker" => {
            bench.start_worker()?;
            bench.report().await
        }
        "latency" => bench.measure_latency(count).await,
        "held" => bench.measure_claims_under_a_held_snapshot(count).await,
        other => bail!("unknown command {other}"),
    }
}

fn print(line: &Value) -> anyhow::Result<()> {
    println!("{line}");
    Ok(())
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(name: &str, default: u32) -> anyhow::Result<u32> {
    Ok(setting(name).map_or(Ok(default), |text| text.parse())?)
}

impl Bench {
    fn open() -> anyhow::Result<Self> {
        let url = setting("DATABASE_URL").context("DATABASE_URL is not set")?;
        let url = DatabaseUrl::parse(&url).map_err(|problem| anyhow::anyhow!("DATABASE_URL: {problem}"))?;
        let target = ConnectTarget::new(url, Duration::from_secs(10))?;
        Ok(Self {
            db: Db::open(target.clone(), PoolOptions { size: 12, ..PoolOptions::default() })?,
            target,
            first: if setting("QUEUE_STEPS").as_deref() == Some("all") {
                Status::Uploaded
            } else {
                Status::EmbeddingsStored
            },
            concurrency: setting("QUEUE_CONCURRENCY").map_or(Ok(1000), |text| text.parse())?,
            jobs_made: AtomicU64::new(0),
            counters: Arc::default(),
        })
    }

    /// Creates the schema, and the documents of one-step jobs with one chunk each.
    async fn setup(&self) -> anyhow::Result<()> {
        migrations::migrate(&self.target, &Handle::current(), "development", None, "bench").await?;
        let conn = self.db.get().await?;
        for statement in [
            format!(
                "-- bench_document
INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
SELECT lpad(to_hex(n), 32, '0')::uuid, '{USER}', 'a.md', 'text/markdown', 1, n::text, 'raw/bench/' || n
FROM generate_series(1, {DOCUMENTS}) AS n"
            ),
            "-- bench_chunk
INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text, chunk_sha,
  embed_model, embed_version, vector_dim, embedding)
SELECT gen_random_uuid(), d.document_id, 'bench', '1', 0, 'a', 'a', 'bench', '1', 2, '[1,0]'
FROM upload_pipeline.documents AS d"
            .to_owned(),
        ] {
            conn.run(&statement, &[]).await?;
        }
        Ok(())
    }

    fn job(&self) -> NewJob {
        let document = if self.first == Status::Uploaded {
            Uuid::now_v7()
        } else {
            Uuid::from_u128(u128::from(self.jobs_made.fetch_add(1, Ordering::Relaxed) % DOCUMENTS + 1))
        };
        NewJob {
            job_id: JobId(Uuid::now_v7()),
            document_id: DocumentId(document),
            user_id: USER,
            status: self.first,
            progress: json!({}),
            delay: Duration::ZERO,
            upload_expires_at: None,
            correlation_id: None,
            event: Some(json!({})),
        }
    }

    /// Makes jobs. With QUEUE_STEPS=all it also inserts a document for each, with one chunk and its vector.
    async fn make_jobs(&self, conn: &impl Session, count: usize) -> anyhow::Result<Vec<NewJob>> {
        let jobs: Vec<NewJob> = (0..count).map(|_| self.job()).collect();
        if self.first == Status::Uploaded {
            let documents: Vec<Uuid> = jobs.iter().map(|job| job.document_id.0).collect();
            conn.run(
                "-- bench_documents
WITH document AS (
  INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
  SELECT d.id, $2, 'a.md', 'text/markdown', 1, d.id::text, 'raw/' || d.id
  FROM unnest($1::uuid[]) AS d (id)
)
INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text, chunk_sha,
  embed_model, embed_version, vector_dim, embedding)
SELECT d.id, d.id, 'bench', '1', 0, 'a', 'a', 'bench', '1', 2, '[1,0]'
FROM unnest($1::uuid[]) AS d (id)",
                &[&documents, &USER.0],
            )
            .await?;
        }
        Ok(jobs)
    }

    /// Enqueues one job a call, as the API does: it commits, then tells the notifier to wake the workers.
    async fn enqueue_singly(&self, clients: usize, count: usize) -> anyhow::Result<()> {
        let (notifier, stop) = (Notifier::default(), CancellationToken::new());
        tokio::spawn(notifier.clone().run(self.db.clone(), stop.clone()));
        let clients = (0..clients).map(|client| {
            let notifier = &notifier;
            async move {
                for _ in (client..count).step_by(clients) {
                    let conn = self.db.get().await?;
                    let jobs = self.make_jobs(&conn, 1).await?;
                    enqueue_jobs(&conn, &jobs).await?;
                    notifier.poke();
                }
                anyhow::Ok(())
            }
        });
        futures_util::future::try_join_all(clients).await?;
        stop.cancel();
        Ok(())
    }

    async fn enqueue_in_bulk(&self, count: usize) -> anyhow::Result<()> {
        let conn = self.db.get().await?;
        for begin in (0..count).step_by(BULK) {
            let jobs = self.make_jobs(&conn, BULK.min(count - begin)).await?;
            enqueue_jobs(&conn, &jobs).await?;
        }
        Ok(())
    }

    /// Enqueues from eight clients, and reports as `woken` whether a waiting worker would have been notified.
    async fn enqueue_beside_a_listener(&self, count: usize) -> anyhow::Result<()> {
        let stop = CancellationToken::new();
        let (listener, wakeup) = Listener::new(self.target.clone(), Handle::current());
        tokio::spawn(listener.run(stop.clone()));
        // The first notification comes from the listener's own probe.
        tokio::time::timeout(NOTIFICATION_TIMEOUT, wakeup.news()).await.context("LISTEN does not work here")?;
        let mut timed = self.time(count, self.enqueue_singly(8, count)).await?;
        timed["woken"] = json!(tokio::time::timeout(NOTIFICATION_TIMEOUT, wakeup.news()).await.is_ok());
        stop.cancel();
        print(&timed)
    }

    async fn time(&self, count: usize, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<Value> {
        // Opens the first connection before the clock starts.
        drop(self.db.get().await?);
        let began = Instant::now();
        work.await?;
        Ok(json!({ "n": count, "s": began.elapsed().as_secs_f64() }))
    }

    fn start_worker(&self) -> anyhow::Result<()> {
        let steps = EmptySteps {
            db: self.db.clone(),
            completer: match setting("QUEUE_BATCH") {
                Some(batch) => Completer::with_batch(self.db.clone(), batch.parse()?),
                None => Completer::new(self.db.clone()),
            },
            model: EmbedModel { name: "bench".into(), version: "1".into(), dim: 2, max_tokens: 8 },
            first: self.first,
            counters: Arc::clone(&self.counters),
        };
        let row = WorkerRow {
            id: WorkerId::generate(),
            host: "bench".to_owned(),
            build: BuildInfo::new("unknown", "unknown", migrations::SCHEMA_VERSION, |_| None),
            environment: "development".to_owned(),
            slots: i32::try_from(self.concurrency)?,
        };
        // The defaults of config/default.toml, except for the concurrency and the bound for each user.
        let settings = WorkerSettings {
            concurrency: self.concurrency,
            claims: ClaimOptions { lease: Duration::from_secs(30), max_running_per_user: 0, now: None },
            heartbeat: Duration::from_secs(10),
            poll_interval: Duration::from_secs(5),
            listen_poll_interval: Duration::from_secs(30),
            grace: Duration::from_secs(25),
            turn: Duration::from_secs(5),
            long_jobs: self.concurrency,
            retry: RetryPolicy {
                max_retries: 3,
                base_delay: Duration::from_secs(3),
                max_delay: Duration::from_secs(300),
            },
        };
        let stop = CancellationToken::new();
        let (listener, wakeup) = Listener::new(self.target.clone(), Handle::current());
        tokio::spawn(listener.run(stop.clone()));
        let worker = Arc::new(Worker::new(self.db.clone(), steps, row, settings, Some(wakeup)));
        tokio::spawn(worker.run(stop));
        Ok(())
    }

    async fn report(&self) -> anyhow::Result<()> {
        let mut printed = u64::MAX;
        let mut interval = tokio::time::interval(Duration::from_millis(25));
        loop {
            interval.tick().await;
            let jobs = self.counters.jobs.load(Ordering::Relaxed);
            if jobs != printed {
                #[allow(
                    clippy::cast_precision_loss,
                    reason = "a double holds microseconds since 1970 exactly until 2255"
                )]
                let first = self.counters.first_micros.load(Ordering::Relaxed) as f64 / 1e6;
                println!("P {jobs} {first:.6}");
                std::io::stdout().flush()?;
                printed = jobs;
            }
        }
    }

    async fn measure_claims_under_a_held_snapshot(&self, count: usize) -> anyhow::Result<()> {
        const CLAIMS: usize = 200;
        let (users, bound) = (number("QUEUE_USERS", 1)?, number("QUEUE_PER_USER", 0)?);
        let slots = usize::try_from(self.concurrency)?;
        let conn = self.db.get().await?;
        for statement in [
            format!(
                "-- held_jobs
WITH d AS (
  INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
  SELECT gen_random_uuid(), gen_random_uuid(), 'a.md', 'text/markdown', 1, 'held', 'raw/held/' || n
  FROM generate_series(1, {users}) AS n
  RETURNING document_id, user_id
)
INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, user_id, status, state, enqueued_by, run_at)
SELECT gen_random_uuid(), d.document_id, d.user_id, 'uploaded', 'queued', 'bench', now() - interval '1 day' + n * interval '1 ms'
FROM d
CROSS JOIN generate_series(1, {} / {users}) AS n",
                count + CLAIMS * slots
            ),
            "-- held_vacuum\nVACUUM ANALYZE upload_pipeline.upload_jobs".to_owned(),
        ] {
            conn.run(&statement, &[]).await?;
        }
        let holder = self.db.get().await?;
        holder.run("-- held_begin\nBEGIN ISOLATION LEVEL REPEATABLE READ", &[]).await?;
        holder.rows("-- held_look\nSELECT count(*) FROM upload_pipeline.upload_jobs", &[]).await?;
        let mut after = None;
        let mut claim = async |slots: u32, bound: u32| {
            let options = ClaimOptions { lease: Duration::from_secs(3600), max_running_per_user: bound, now: None };
            let began = Instant::now();
            let leases = claim_jobs(&conn, WorkerId::generate(), slots, after, options).await?;
            let took = began.elapsed();
            after = served_last(after, &leases);
            let done = "-- held_done
UPDATE upload_pipeline.upload_jobs SET state = 'done', status = 'complete', claimed_by = NULL WHERE state = 'working'";
            conn.run(done, &[]).await?;
            anyhow::Ok((leases.len(), took))
        };
        let mut claimed = 0;
        while claimed < count {
            claimed += claim(u32::try_from(BULK.min(count - claimed))?, 0).await?.0;
        }
        let mut claim_ms = Vec::with_capacity(CLAIMS);
        for _ in 0..CLAIMS {
            claim_ms.push(claim(self.concurrency, bound).await?.1.as_secs_f64() * 1e3);
        }
        claim_ms.sort_by(f64::total_cmp);
        print(&json!({ "claims": CLAIMS, "p50_ms": claim_ms[CLAIMS / 2], "p99_ms": claim_ms[CLAIMS * 99 / 100] }))
    }

    async fn measure_latency(&self, count: usize) -> anyhow::Result<()> {
        const WARM_UP: usize = 5;
        self.start_worker()?;
        let (notifier, stop) = (Notifier::default(), CancellationToken::new());
        tokio::spawn(notifier.clone().run(self.db.clone(), stop));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let end = Instant::now() + Duration::from_secs(25);
        let mut latency_ms = Vec::with_capacity(count);
        for i in 0..count + WARM_UP {
            if Instant::now() > end {
                break;
            }
            let jobs = self.make_jobs(&self.db.get().await?, 1).await?;
            let began = Instant::now();
            let enqueue = async {
                enqueue_jobs(&self.db.get().await?, &jobs).await?;
                notifier.poke();
                anyhow::Ok(())
            };
            let (enqueued, started) = tokio::join!(enqueue, async {
                self.counters.started.notified().await;
                Instant::now()
            });
            enqueued?;
            if i >= WARM_UP {
                latency_ms.push((started - began).as_secs_f64() * 1e3);
            }
            // A varying pause, so that the calls do not fall into step with a timer.
            tokio::time::sleep(Duration::from_millis(5 + u64::from(began.elapsed().subsec_nanos() % 15))).await;
        }
        println!("{}", json!({ "latency_ms": latency_ms }));
        Ok(())
    }
}
