//! What is done to the fleet, by a schedule that follows from the seed.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{sync::watch, task::block_in_place, time::Instant};

use super::{LEASE, stack::Stack};
use crate::support::fleet::{App, Fleet, PATIENCE};

/// Between two blows, at the least and at the most.
const BETWEEN: (f64, f64) = (0.4, 2.0);

/// One way to hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blow {
    KillWorker,
    FreezeWorker,
    DrainWorker,
    KillApi,
    CutConnections,
    HalfCloseConnections,
    StallConnections,
    RestartPooler,
    CrashPostgres,
}

impl Blow {
    /// Each as often as it stands here.
    const DECK: [Self; 15] = [
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
        }
    }
}

/// A blow that was dealt.
#[derive(Debug, Clone)]
pub struct Dealt {
    /// Seconds since 1970, as the database has them.
    pub at: f64,
    pub blow: Blow,
    /// The worker that was hit.
    pub worker: Option<String>,
}

/// A process and what it is called in the table `workers`.
struct Worker {
    name: String,
    app: App,
}

/// The processes, and what is done to them.
pub struct Chaos {
    fleet: Fleet,
    rng: fastrand::Rng,
    /// Shuffled; each way of hurting comes before any comes again.
    deck: Vec<Blow>,
    workers: Vec<Worker>,
    /// Frozen, until then.
    frozen: Vec<(Instant, Worker)>,
    draining: Vec<Worker>,
    api: Option<App>,
    api_at: watch::Sender<String>,
    started: usize,
    pub dealt: Vec<Dealt>,
    /// Exit codes of drained workers other than 0.
    pub bad_exits: Vec<String>,
    /// Everything that the processes have logged.
    pub log: String,
}

impl Chaos {
    /// Starts an API and this many workers.
    pub fn start(fleet: Fleet, seed: u64, workers: usize) -> (Self, watch::Receiver<String>) {
        let (api_at, watched) = watch::channel(String::new());
        let mut chaos = Self {
            fleet,
            rng: fastrand::Rng::with_seed(seed),
            deck: Vec::new(),
            workers: Vec::new(),
            frozen: Vec::new(),
            draining: Vec::new(),
            api: None,
            api_at,
            started: 0,
            dealt: Vec::new(),
            bad_exits: Vec::new(),
            log: String::new(),
        };
        chaos.start_api();
        for _ in 0..workers {
            chaos.start_worker();
        }
        (chaos, watched)
    }

    /// Deals blows for `duration`, then lets the frozen go on and waits for those that drain.
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
            self.look_at_the_draining();
            self.deal(stack).await;
        }
        self.calm().await;
    }

    async fn calm(&mut self) {
        let last = self.frozen.iter().map(|(at, _)| *at).max().unwrap_or_else(Instant::now);
        self.thaw(last);
        let deadline = Instant::now() + PATIENCE;
        while !self.draining.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.look_at_the_draining();
        }
        let left: Vec<String> = self.draining.iter().map(|worker| format!("{} did not end", worker.name)).collect();
        self.bad_exits.extend(left);
    }

    fn start_worker(&mut self) {
        self.started += 1;
        let name = format!("worker-{}", self.started);
        // By this its row in `workers`, and with it its jobs, is known as this process's.
        self.fleet.set("RENDER_GIT_BRANCH", &name);
        self.workers.push(Worker { name, app: self.fleet.worker() });
    }

    fn start_api(&mut self) {
        let (app, client) = block_in_place(|| self.fleet.api());
        self.api = Some(app);
        self.api_at.send_replace(client.root);
    }

    async fn deal(&mut self, stack: &mut Stack) {
        let blow = self.draw();
        let mut dealt = Dealt { at: now(), blow, worker: None };
        match blow {
            Blow::KillWorker => {
                let worker = self.pick();
                dealt.worker = Some(worker.name.clone());
                self.kill(&worker.name, worker.app).await;
                self.start_worker();
            }
            Blow::FreezeWorker => {
                let worker = self.pick();
                dealt.worker = Some(worker.name.clone());
                worker.app.signal("STOP");
                let how_long = LEASE.mul_f64(1.25 + self.rng.f64());
                self.frozen.push((Instant::now() + how_long, worker));
                // Never are all of them frozen.
                if self.workers.is_empty() {
                    self.start_worker();
                }
            }
            Blow::DrainWorker => {
                let worker = self.pick();
                worker.app.signal("TERM");
                self.draining.push(worker);
                self.start_worker();
            }
            Blow::KillApi => {
                if let Some(api) = self.api.take() {
                    self.kill("api", api).await;
                }
                self.start_api();
            }
            Blow::CutConnections => {
                stack.pooled.cut();
                stack.direct.cut();
            }
            Blow::HalfCloseConnections => {
                stack.pooled.half_close();
                stack.direct.half_close();
            }
            Blow::StallConnections => self.stall(stack),
            Blow::RestartPooler => block_in_place(|| stack.pooler.restart()),
            Blow::CrashPostgres => stack.crash().await,
        }
        self.dealt.push(dealt);
    }

    async fn kill(&mut self, name: &str, mut app: App) {
        app.signal("KILL");
        while app.exit_code().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.keep_log(name, &mut app);
    }

    fn draw(&mut self) -> Blow {
        if self.deck.is_empty() {
            self.deck = Blow::DECK.to_vec();
            self.rng.shuffle(&mut self.deck);
        }
        self.deck.pop().unwrap()
    }

    /// Stalls, sometimes until all leases have expired; every other time the connections are cut at its end.
    fn stall(&mut self, stack: &Stack) {
        let (how_long, cut) = (LEASE.mul_f64(0.3 + self.rng.f64()), self.rng.bool());
        let lines = [stack.pooled.stall(), stack.direct.stall()];
        tokio::spawn(async move {
            tokio::time::sleep(how_long).await;
            lines.iter().for_each(|go_on| go_on(cut));
        });
    }

    fn pick(&mut self) -> Worker {
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

    fn look_at_the_draining(&mut self) {
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

    /// Kills what is left, and keeps its log.
    pub fn end(&mut self) {
        for mut worker in std::mem::take(&mut self.workers).into_iter().chain(std::mem::take(&mut self.draining)) {
            self.keep_log(&worker.name, &mut worker.app);
        }
        if let Some(mut api) = self.api.take() {
            self.keep_log("api", &mut api);
        }
    }

    /// Processes that are there to work, for the report.
    pub fn started(&self) -> usize {
        self.started
    }

    fn keep_log(&mut self, name: &str, app: &mut App) {
        for line in app.read_log() {
            let _never_fails = writeln!(self.log, "{name} {line}");
        }
    }
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}
