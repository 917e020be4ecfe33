//! awa in the harness's protocol (`setup | enqueue1 N | enqueue N | worker | latency N`), tuned as its documentation says for a
//! queue of one hot name: 1024 workers, which it completes in four streams, claims of 512, four enqueue shards, no deadlines.
//! Its newer storage ("queue storage"), which a fresh installation has.

use std::{
    io::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use awa::{Client, InsertOpts, JobResult, QueueConfig, QueueStorage, QueueStorageConfig, insert, migrations};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::sync::Notify;

const QUEUE: &str = "noop";
const SHARDS: i16 = 4;
const WORKERS: u32 = 1024;
const CLAIM: usize = 512;

static COUNT: AtomicU64 = AtomicU64::new(0);
static FIRST_MICROS: AtomicU64 = AtomicU64::new(0);
static STARTED: Notify = Notify::const_new();

#[derive(Debug, Serialize, Deserialize)]
struct Noop {
    i: u32,
}

impl awa::JobArgs for Noop {
    fn kind() -> &'static str {
        "noop"
    }
}

fn opts() -> InsertOpts {
    InsertOpts { queue: QUEUE.to_owned(), ..InsertOpts::default() }
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let command = args.next().expect("a command");
    let count: usize = args.next().map_or(0, |count| count.parse().expect("a number"));
    let url = std::env::var("DATABASE_URL").expect("DATABASE_URL");
    let pool = PgPoolOptions::new().max_connections(20).connect(&url).await.expect("a database");
    match command.as_str() {
        "setup" => setup(&pool).await,
        "enqueue1" => {
            let began = Instant::now();
            for _ in 0..count {
                enqueue(&pool).await;
            }
            tell(count, began);
        }
        "enqueue" => {
            let began = Instant::now();
            enqueue_in_bulk(&pool, count).await;
            tell(count, began);
        }
        "worker" => {
            let _client = start(&pool).await;
            report().await;
        }
        "latency" => latency(&pool, count).await,
        other => panic!("unknown command {other}"),
    }
}

fn tell(count: usize, began: Instant) {
    println!("{}", serde_json::json!({ "n": count, "s": began.elapsed().as_secs_f64() }));
}

/// The schema; a first start is what makes the newer storage the one in use.
async fn setup(pool: &PgPool) {
    migrations::run(pool).await.expect("the migrations");
    sqlx::query("INSERT INTO awa.queue_meta (queue, enqueue_shards) VALUES ($1, $2)")
        .bind(QUEUE)
        .bind(SHARDS)
        .execute(pool)
        .await
        .expect("the shards");
    start(pool).await.shutdown(Duration::from_secs(5)).await;
    let state: String =
        sqlx::query_scalar("SELECT state FROM awa.storage_transition_state").fetch_one(pool).await.expect("a state");
    assert_eq!(state, "active", "the newer storage is not in use");
}

async fn start(pool: &PgPool) -> Client {
    let queue = QueueConfig {
        max_workers: WORKERS,
        claim_batch_size: CLAIM,
        deadline_duration: Duration::ZERO,
        ..QueueConfig::default()
    };
    let client = Client::builder(pool.clone())
        .queue(QUEUE, queue)
        .register::<Noop, _, _>(|_, _| async {
            hit();
            Ok(JobResult::Completed)
        })
        .build()
        .expect("a client");
    client.start().await.expect("a start");
    client
}

async fn enqueue(pool: &PgPool) {
    awa::insert_with(pool, &Noop { i: 1 }, opts()).await.expect("an enqueue");
}

/// By COPY, a thousand a call, its quickest way.
async fn enqueue_in_bulk(pool: &PgPool, count: usize) {
    let store = QueueStorage::new(QueueStorageConfig::default()).expect("its configuration");
    for begin in (0..count).step_by(1000) {
        let jobs: Vec<_> = (begin..count.min(begin + 1000))
            .map(|_| insert::params_with(&Noop { i: 1 }, opts()).expect("a job"))
            .collect();
        store.enqueue_params_copy(pool, &jobs).await.expect("an enqueue");
    }
}

/// A job's handler has started.
fn hit() {
    if COUNT.fetch_add(1, Relaxed) == 0 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
        FIRST_MICROS.store(u64::try_from(now.as_micros()).expect("a time of this century"), Relaxed);
    }
    STARTED.notify_one();
}

async fn report() {
    let mut told = u64::MAX;
    let mut look = tokio::time::interval(Duration::from_millis(25));
    loop {
        look.tick().await;
        let count = COUNT.load(Relaxed);
        if count != told {
            println!("P {count} {:.6}", FIRST_MICROS.load(Relaxed) as f64 / 1e6);
            std::io::stdout().flush().expect("a reader");
            told = count;
        }
    }
}

async fn latency(pool: &PgPool, count: usize) {
    const WARM_UP: usize = 5;
    let _client = start(pool).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let end = Instant::now() + Duration::from_secs(25);
    let mut latency_ms = Vec::with_capacity(count);
    for i in 0..count + WARM_UP {
        if Instant::now() > end {
            break;
        }
        let began = Instant::now();
        let ((), started) = tokio::join!(enqueue(pool), async {
            STARTED.notified().await;
            Instant::now()
        });
        if i >= WARM_UP {
            latency_ms.push((started - began).as_secs_f64() * 1e3);
        }
        // Not in step with anything that ticks.
        tokio::time::sleep(Duration::from_millis(5 + u64::from(began.elapsed().subsec_nanos() % 15))).await;
    }
    println!("{}", serde_json::json!({ "latency_ms": latency_ms }));
    std::process::exit(0);
}
