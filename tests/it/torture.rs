//! A fleet of processes works while the test kills and freezes them, cuts and stalls their connections, crashes the pooler and
//! PostgreSQL, fails over to its replica, fills the disk, takes the CPU and sends bodies that never end. Afterwards the tables
//! must show that no job was lost, duplicated or stuck, no good document was given up, and no page waited long for its turn.
//! `scripts/torture` runs the test for longer.

mod bodies;
mod chaos;
mod disk;
pub mod failover;
mod history;
mod invariants;
mod load;
mod proxy;
mod report;
pub mod stack;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::support::fleet::Fleet;
use chaos::Chaos;
use invariants::Checked;
use load::{Clients, Ledger};
use report::Report;
use stack::Stack;

/// The lease of every worker; short, for quick takeovers.
const LEASE: Duration = Duration::from_secs(4);
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Longest time from an owner's last heartbeat to the takeover of its jobs: the lease, one heartbeat in which another worker
/// learns when the lease ends, and the rest for a busy machine and for other workers that are frozen, cut off or starting.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(12);
/// The API takes 50 MiB here at rest; 256 MiB more is what no mix of clients may take it above.
const API_MEMORY_LIMIT: u64 = (50 + 256) << 20;
/// Longest time for the remaining jobs after the last fault. A job that takes longer counts as stuck.
const FINISH_LIMIT: Duration = Duration::from_secs(120);

/// Settings from the environment.
struct Settings {
    duration: Duration,
    seed: u64,
    workers: usize,
}

impl Settings {
    fn read() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 1_000_000;
        Self {
            duration: Duration::from_secs(number("TORTURE_SECONDS").unwrap_or(20)),
            seed: number("TORTURE_SEED").unwrap_or(clock),
            workers: number("TORTURE_WORKERS").map_or(3, |workers| usize::try_from(workers).unwrap()),
        }
    }

    fn heading(&self) -> String {
        let Self { duration, seed, workers } = self;
        format!("torture: {} s, seed {seed}, {workers} workers, lease {} s", duration.as_secs(), LEASE.as_secs())
    }
}

fn fleet(stack: &Stack) -> Fleet {
    let mut fleet = Fleet::new(&stack.url_through(&stack.pooled), &stack.url_through(&stack.direct));
    for (name, value) in [
        ("WORKER_LEASE", LEASE.as_secs_f64()),
        ("WORKER_HEARTBEAT", HEARTBEAT.as_secs_f64()),
        ("WORKER_CONCURRENCY", 3.0),
        ("WORKER_GRACE", 3.5),
        // Turns are over all the time, and jobs go back for the user who waits.
        ("WORKER_TURN", 0.2),
        ("MAX_RUNNING_JOBS_PER_USER", 3.0),
    ] {
        fleet.set(name, &value.to_string());
    }
    // An upload's signed URL must outlive the API that signed it.
    fleet.set("STORAGE_SIGNING_SECRET", "a-secret-for-tests-of-forty-characters!!");
    fleet
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_job_is_lost_duplicated_or_stuck_through_kills_freezes_and_cut_connections() {
    let settings = Settings::read();
    println!("{}", settings.heading());
    let mut stack = Stack::start().await;
    let (url, fleet) = (stack.url(), fleet(&stack));
    let migrated = fleet.run(&["migrate"]);
    assert!(migrated.0.success(), "{}", migrated.2);
    history::install(&url).await;

    let storage = fleet.storage();
    let (mut chaos, api) = Chaos::start(fleet, settings.seed, settings.workers);
    let (stop_clients, stop) = watch::channel(false);
    let (live_sender, live) = watch::channel(0);
    let http = reqwest::Client::new();
    let clients = Clients { ledger: Ledger::default(), api, live, stop, http, seed: settings.seed };
    let mut uploading = clients.start(url.clone(), storage.clone());
    let (stop_watching, stop) = watch::channel(false);
    let outages = tokio::spawn(history::watch_outages(stack.url_through(&stack.pooled), stop));
    let memory = tokio::spawn(bodies::watch_memory(chaos.api_pid.subscribe(), stop_watching.subscribe()));
    let counting = tokio::spawn(count(url.clone(), live_sender));

    let began = Instant::now();
    chaos.run(&mut stack, settings.duration).await;
    stop_clients.send_replace(true);
    while let Some(ended) = uploading.join_next().await {
        ended.unwrap();
    }
    let waited = wait_for_the_end(&url).await;
    counting.abort();
    stop_watching.send_replace(true);
    let (outages, memory) = (outages.await.unwrap(), memory.await.unwrap());
    chaos.end();

    let ledger = load::read(&clients.ledger).clone();
    let (faults, lost) = (&chaos.injected, &stack.lost);
    let known = history::Known { ledger: &ledger, outages: &outages, faults, lost, storage: &storage };
    history::load(&url, &known).await;
    let away: f64 = outages.iter().map(|(since, until)| until - since).sum();
    let figures = vec![
        ("taken in".to_owned(), format!("{} jobs", ledger.len())),
        ("all ended after".to_owned(), format!("{:.0} s", began.elapsed().as_secs_f64())),
        ("  of it after the last fault".to_owned(), format!("{:.1} s", waited.as_secs_f64())),
        ("workers started".to_owned(), chaos.started().to_string()),
        ("database away".to_owned(), format!("{away:.0} s in {} outages", outages.len())),
        ("most memory of the API".to_owned(), format!("{} MiB ({} MiB)", memory >> 20, API_MEMORY_LIMIT >> 20)),
        (
            "lost by asynchronous failovers".to_owned(),
            format!("{} transactions, of {} documents", lost.transactions, lost.documents.len()),
        ),
    ];
    let mut further =
        vec![Checked { name: "a change that was lost though the replica had received it", broken: lost.wrong.clone() }];
    let too_much = (memory > API_MEMORY_LIMIT).then(|| ("api".to_owned(), format!("{} MiB", memory >> 20)));
    further.push(Checked { name: "memory of the API above its bound", broken: too_much.into_iter().collect() });
    let report = Report::make(&url, settings.heading(), figures, further, &chaos).await;
    println!("{report}");
    assert!(report.is_clean(), "TORTURE_SEED={} breaks an invariant; see the report above", settings.seed);
    assert!(
        !ledger.is_empty() && !chaos.injected.is_empty() && report.takeovers > 0,
        "the run had no jobs, no faults or no takeovers"
    );
}

/// Keeps the clients informed of the number of jobs that have not ended.
async fn count(url: String, live: watch::Sender<u64>) {
    loop {
        if let Some(count) = history::count_live(&url).await {
            live.send_replace(count);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Waits until every job has ended, at most [`FINISH_LIMIT`]; returns how long it took.
async fn wait_for_the_end(url: &str) -> Duration {
    let began = Instant::now();
    while history::count_live(url).await != Some(0) && began.elapsed() < FINISH_LIMIT {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    began.elapsed()
}
