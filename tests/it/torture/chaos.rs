//! Injects faults into the fleet. The seed determines their order and times.

use std::{
    fmt::Write as _,
    process::{Child, Command},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{sync::watch, task::block_in_place, time::Instant};

use super::{
    LEASE,
    bodies::{self, Bodies},
    disk::Disk,
    stack::{Replication, Stack},
};
use crate::support::fleet::{App, Fleet, PATIENCE};

/// Shortest and longest pause between two faults, in seconds.
const BETWEEN: (f64, f64) = (0.4, 2.0);
/// How many processes it takes to leave next to nothing of the machine to the others.
const CORES: usize = 2;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    KillWorker,
    FreezeWorker,
    DrainWorker,
    KillApi,
    CutConnections,
    HalfCloseConnections,
    StallConnections,
    RestartPooler,
    CrashPostgres,
    FailOverInStep,
    FailOverBehind,
    SlowBodies,
    HugeBodies,
    FullDisk,
    BusyCpu,
}

impl Fault {
    /// One round of faults, each as often as it is listed.
    const ROUND: [Self; 23] = [
        Self::KillWorker,
        Self::KillWorker,
        Self::KillWorker,
        Self::FreezeWorker,
        Self::FreezeWorker,
        Self::FreezeWorker,
        Self::DrainWorker,
        Self::DrainWorker,
        Self::KillApi,
        Self::CutConnections,
        Self::CutConnections,
        Self::HalfCloseConnections,
        Self::StallConnections,
        Self::RestartPooler,
        Self::CrashPostgres,
        Self::FailOverInStep,
        Self::FailOverBehind,
        Self::SlowBodies,
        Self::SlowBodies,
        Self::HugeBodies,
        Self::HugeBodies,
        Self::FullDisk,
        Self::BusyCpu,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::KillWorker => "worker killed (SIGKILL)",
            Self::FreezeWorker => "worker frozen beyond its lease (SIGSTOP)",
            Self::DrainWorker => "worker drained (SIGTERM)",
            Self::KillApi => "api killed (SIGKILL)",
            Self::CutConnections => "all connections cut",
            Self::HalfCloseConnections => "all connections half closed",
            Self::StallConnections => "all connections stalled",
            Self::RestartPooler => "PgBouncer killed and started",
            Self::CrashPostgres => "Postgres stopped in immediate mode",
            Self::FailOverInStep => "failover to a synchronous replica",
            Self::FailOverBehind => "failover to an asynchronous replica that lags",
            Self::SlowBodies => "24 bodies that come slowly",
            Self::HugeBodies => "12 bodies of 25 MiB that never end",
            Self::FullDisk => "the disk of the object store full",
            Self::BusyCpu => "two processes that take all CPU time",
        }
    }
}

/// A fault that was injected.
#[derive(Debug, Clone)]
pub struct Injected {
    /// Seconds since 1970.
    pub at: f64,
    pub fault: Fault,
    /// The name of the affected worker.
    pub worker: Option<String>,
}

/// A worker process and its name in the table `torture.workers`.
struct Worker {
    name: String,
    app: App,
}

/// The processes of the fleet, and the faults so far.
pub struct Chaos {
    fleet: Fleet,
    rng: fastrand::Rng,
    /// The rest of the current round, shuffled.
    round: Vec<Fault>,
    workers: Vec<Worker>,
    /// Frozen workers, each with the time at which it continues.
    frozen: Vec<(Instant, Worker)>,
    draining: Vec<Worker>,
    api: Option<App>,
    api_at: watch::Sender<String>,
    started: usize,
    pub injected: Vec<Injected>,
    /// The disk of the object store; `None`: this user may not make one, and it is never full.
    disk: Option<Disk>,
    /// The processes that take all CPU time, and until when.
    burning: Vec<(Instant, Child)>,
    /// The process of the API, for those who watch its memory.
    pub api_pid: watch::Sender<u32>,
    /// Exit codes of drained workers other than 0.
    pub bad_exits: Vec<String>,
    /// The log lines of all processes.
    pub log: String,
}

impl Chaos {
    /// Starts an API and this many workers; the receiver holds the API's current address.
    pub fn start(fleet: Fleet, seed: u64, workers: usize) -> (Self, watch::Receiver<String>) {
        let (api_at, watched) = watch::channel(String::new());
        let disk = Disk::mount(&fleet.storage());
        let mut chaos = Self {
            disk,
            burning: Vec::new(),
            api_pid: watch::channel(0).0,
            fleet,
            rng: fastrand::Rng::with_seed(seed),
            round: Vec::new(),
            workers: Vec::new(),
            frozen: Vec::new(),
            draining: Vec::new(),
            api: None,
            api_at,
            started: 0,
            injected: Vec::new(),
            bad_exits: Vec::new(),
            log: String::new(),
        };
        chaos.start_api();
        for _ in 0..workers {
            chaos.start_worker();
        }
        (chaos, watched)
    }

    /// Injects faults for `duration`, then continues frozen workers and waits for draining ones.
    pub async fn run(&mut self, stack: &mut Stack, duration: Duration) {
        let end = Instant::now() + duration;
        loop {
            let pause = BETWEEN.0 + self.rng.f64() * (BETWEEN.1 - BETWEEN.0);
            let next = Instant::now() + Duration::from_secs_f64(pause);
            while let Some(thaw) = self.frozen.iter().map(|(at, _)| *at).min().filter(|at| *at <= next) {
                tokio::time::sleep_until(thaw).await;
                self.thaw(Instant::now());
            }
            if next >= end {
                break;
            }
            tokio::time::sleep_until(next).await;
            self.reap_drained();
            self.put_out(Instant::now());
            self.inject(stack).await;
        }
        self.settle().await;
    }

    async fn settle(&mut self) {
        let last = self.burning.iter().map(|(until, _)| *until).max().unwrap_or_else(Instant::now);
        tokio::time::sleep_until(last).await;
        self.put_out(last);
        let last = self.frozen.iter().map(|(at, _)| *at).max().unwrap_or_else(Instant::now);
        self.thaw(last);
        let deadline = Instant::now() + PATIENCE;
        while !self.draining.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.reap_drained();
        }
        let left: Vec<String> = self.draining.iter().map(|worker| format!("{} did not end", worker.name)).collect();
        self.bad_exits.extend(left);
    }

    fn start_worker(&mut self) {
        self.started += 1;
        let name = format!("worker-{}", self.started);
        // The branch in the worker's row links the row and its jobs to this process.
        self.fleet.set("RENDER_GIT_BRANCH", &name);
        self.workers.push(Worker { name, app: self.fleet.worker() });
    }

    fn start_api(&mut self) {
        let (app, client) = block_in_place(|| self.fleet.api());
        self.api_pid.send_replace(app.pid());
        self.api = Some(app);
        self.api_at.send_replace(client.root);
    }

    async fn inject(&mut self, stack: &mut Stack) {
        let fault = self.next_fault();
        let mut injected = Injected { at: now(), fault, worker: None };
        match fault {
            Fault::KillWorker => {
                let worker = self.take_random_worker();
                injected.worker = Some(worker.name.clone());
                self.kill(&worker.name, worker.app).await;
                self.start_worker();
            }
            Fault::FreezeWorker => {
                let worker = self.take_random_worker();
                injected.worker = Some(worker.name.clone());
                worker.app.signal("STOP");
                let how_long = LEASE.mul_f64(1.25 + self.rng.f64());
                self.frozen.push((Instant::now() + how_long, worker));
                // At least one worker must run.
                if self.workers.is_empty() {
                    self.start_worker();
                }
            }
            Fault::DrainWorker => {
                let worker = self.take_random_worker();
                worker.app.signal("TERM");
                self.draining.push(worker);
                self.start_worker();
            }
            Fault::KillApi => {
                if let Some(api) = self.api.take() {
                    self.kill("api", api).await;
                }
                self.start_api();
            }
            Fault::CutConnections => {
                stack.pooled.cut();
                stack.direct.cut();
            }
            Fault::HalfCloseConnections => {
                stack.pooled.half_close();
                stack.direct.half_close();
            }
            Fault::StallConnections => self.stall(stack),
            Fault::RestartPooler => block_in_place(|| stack.pooler.restart()),
            Fault::CrashPostgres => stack.crash().await,
            Fault::FailOverInStep => stack.fail_over(Replication::Synchronous).await,
            Fault::FailOverBehind => stack.fail_over(Replication::Asynchronous).await,
            Fault::SlowBodies => {
                let hold = self.hold();
                bodies::send(&self.api_at.borrow(), Bodies::Slow, hold);
            }
            Fault::HugeBodies => {
                let hold = self.hold();
                bodies::send(&self.api_at.borrow(), Bodies::Huge, hold);
            }
            Fault::FullDisk => {
                let hold = self.hold();
                let Some(disk) = &self.disk else { return };
                disk.fill(hold);
            }
            Fault::BusyCpu => {
                let until = Instant::now() + self.hold();
                for _ in 0..CORES {
                    let busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
                    self.burning.push((until, busy));
                }
            }
        }
        self.injected.push(injected);
    }

    /// How long a fault lasts that ends by itself.
    fn hold(&mut self) -> Duration {
        LEASE.mul_f64(0.5 + self.rng.f64())
    }

    /// Ends the processes whose time is over.
    fn put_out(&mut self, now: Instant) {
        for (_, busy) in self.burning.extract_if(.., |(until, _)| *until <= now) {
            stop(busy);
        }
    }

    async fn kill(&mut self, name: &str, mut app: App) {
        app.signal("KILL");
        while app.exit_code().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.keep_log(name, &mut app);
    }

    fn next_fault(&mut self) -> Fault {
        if self.round.is_empty() {
            self.round = Fault::ROUND.to_vec();
            self.rng.shuffle(&mut self.round);
        }
        self.round.pop().unwrap()
    }

    /// Stalls the connections, sometimes until all leases have expired. Half of the stalls end with cut connections.
    fn stall(&mut self, stack: &Stack) {
        let (how_long, cut) = (LEASE.mul_f64(0.3 + self.rng.f64()), self.rng.bool());
        let lines = [stack.pooled.stall(), stack.direct.stall()];
        tokio::spawn(async move {
            tokio::time::sleep(how_long).await;
            lines.iter().for_each(|go_on| go_on(cut));
        });
    }

    fn take_random_worker(&mut self) -> Worker {
        let n = self.rng.usize(..self.workers.len());
        self.workers.swap_remove(n)
    }

    fn thaw(&mut self, until: Instant) {
        let (due, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.frozen).into_iter().partition(|(at, _)| *at <= until);
        self.frozen = rest;
        for (_, worker) in due {
            worker.app.signal("CONT");
            self.workers.push(worker);
        }
    }

    fn reap_drained(&mut self) {
        for mut worker in std::mem::take(&mut self.draining) {
            match worker.app.exit_code() {
                None => self.draining.push(worker),
                Some(code) => {
                    self.keep_log(&worker.name, &mut worker.app);
                    if code != 0 {
                        self.bad_exits.push(format!("{} ended with {code}", worker.name));
                    }
                }
            }
        }
    }

    /// Kills the remaining processes and keeps their logs.
    pub fn end(&mut self) {
        for mut worker in std::mem::take(&mut self.workers).into_iter().chain(std::mem::take(&mut self.draining)) {
            self.keep_log(&worker.name, &mut worker.app);
        }
        if let Some(mut api) = self.api.take() {
            self.keep_log("api", &mut api);
        }
    }

    /// How many workers were started.
    pub fn started(&self) -> usize {
        self.started
    }

    fn keep_log(&mut self, name: &str, app: &mut App) {
        for line in app.read_log() {
            let _never_fails = writeln!(self.log, "{name} {line}");
        }
    }
}

fn stop(mut busy: Child) {
    // It never ends by itself.
    busy.kill().unwrap();
    busy.wait().unwrap();
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.burning.drain(..).for_each(|(_, busy)| stop(busy));
    }
}
