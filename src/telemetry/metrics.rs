//! What this process counts about itself: claims, steps, requests, failures, the wait for connections.
//!
//! One set a process, [`METRICS`]. Where jobs run, the child of each pair of labels is kept, so that to record is a few
//! atomic additions without a lock. Labels are closed sets of ours, so the number of series is bounded; what a set cannot
//! bound at compile time (codes, routes) is a `&'static str` or a template of the route table.
//!
//! What the whole deployment shares (the queue, the workers) is read from the database instead: see
//! [`gauges`](crate::db::gauges).

mod labels;
mod page;
mod render;

use std::{
    sync::{LazyLock, OnceLock},
    time::{Duration, SystemTime},
};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
    core::Collector,
    proto::{MetricFamily, MetricType},
};

use crate::domain::{Code, Step, Verdict};
use labels::{CLASSES, METHODS};
pub use labels::{ClaimOutcome, ProviderCall, StepOutcome};
pub use page::{CONTENT_TYPE, Metric, Page};
pub use render::{Process, render_process};

/// In seconds. Source: ours; a claim is one statement, milliseconds near the database and tens of them across a pooler.
const QUICK: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// In seconds. Source: ours; from a checkpoint's statement to five minutes, which is when an alert looks at the job itself.
const STEPS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 150.0, 300.0];
/// In seconds. Source: ours; 2 s, which an alert compares with, is one of them, so that no estimate lies between.
const REQUESTS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// What this process has counted since it began.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Each metric without a sample: what it is can be read before it has one.
    declared: Vec<MetricFamily>,
    claims: HistogramVec,
    /// The children of `claims` and `steps`, from their first use on.
    known_claims: [OnceLock<Histogram>; ClaimOutcome::ALL.len()],
    claimed_jobs: IntCounter,
    steps: HistogramVec,
    known_steps: [[OnceLock<Histogram>; StepOutcome::ALL.len()]; Step::ALL.len()],
    failures: IntCounterVec,
    taken_over_jobs: IntCounter,
    pool_waits: Histogram,
    database_errors: IntCounterVec,
    transaction_reruns: IntCounter,
    requests: HistogramVec,
    request_errors: IntCounterVec,
    provider_calls: HistogramVec,
}

/// This process's own.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

static STARTED_AT: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// Notes when this process began; called once, early.
pub(super) fn note_start() {
    LazyLock::force(&STARTED_AT);
}

/// A metric made of constants.
// Unwrap safety: only a name, a label or a bound that the format forbids, or a name that comes twice, is refused; all of
// them stand in this file, and every test that records anything makes them.
#[expect(clippy::expect_used, reason = "see above")]
fn made<T>(metric: prometheus::Result<T>) -> T {
    metric.expect("the names of our metrics are right")
}

/// Makes metrics, each of which the registry then gathers.
#[derive(Default)]
struct Maker {
    registry: Registry,
    declared: Vec<MetricFamily>,
}

impl Maker {
    fn registered<T: Collector + Clone + 'static>(&mut self, metric: prometheus::Result<T>, kind: MetricType) -> T {
        let metric = made(metric);
        self.declared.extend(metric.desc().into_iter().map(|desc| page::family(&desc.fq_name, &desc.help, kind)));
        made(self.registry.register(Box::new(metric.clone())));
        metric
    }

    fn counter(&mut self, name: &str, help: &str) -> IntCounter {
        self.registered(IntCounter::new(name, help), MetricType::COUNTER)
    }

    fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.registered(IntCounterVec::new(Opts::new(name, help), labels), MetricType::COUNTER)
    }

    fn durations(&mut self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
        self.registered(Histogram::with_opts(options), MetricType::HISTOGRAM)
    }

    fn durations_by(&mut self, name: &str, help: &str, bounds: &[f64], labels: &[&str]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
        self.registered(HistogramVec::new(options, labels), MetricType::HISTOGRAM)
    }
}

impl Metrics {
    fn new() -> Self {
        let mut make = Maker::default();
        Self {
            claims: make.durations_by(
                "app_claim_duration_seconds",
                "Looks for work, by what came of them.",
                &QUICK,
                &["outcome"],
            ),
            known_claims: [const { OnceLock::new() }; ClaimOutcome::ALL.len()],
            claimed_jobs: make.counter("app_claimed_jobs_total", "Jobs that this process has claimed."),
            steps: make.durations_by(
                "app_step_duration_seconds",
                "Steps of jobs, by what came of them.",
                &STEPS,
                &["step", "outcome"],
            ),
            known_steps: [const { [const { OnceLock::new() }; StepOutcome::ALL.len()] }; Step::ALL.len()],
            failures: make.counters(
                "app_step_failures_total",
                "Steps that failed, by error code and by what becomes of the job: retry, deadletter, or pause.",
                &["step", "code", "verdict"],
            ),
            taken_over_jobs: make.counter(
                "app_taken_over_jobs_total",
                "Jobs that this process has freed because their lease had expired.",
            ),
            pool_waits: make.durations(
                "app_database_pool_wait_seconds",
                "From asking the pool for a connection to having it, or to being refused; opening one is in it.",
                &QUICK,
            ),
            database_errors: make.counters(
                "app_database_errors_total",
                "Connections and statements that failed, by code.",
                &["code"],
            ),
            transaction_reruns: make.counter(
                "app_transaction_reruns_total",
                "Transactions run again after a serialization failure or a deadlock.",
            ),
            requests: make.durations_by(
                "app_http_request_duration_seconds",
                "Requests, from their head to the head of the answer, by method, route and class of status.",
                &REQUESTS,
                &["method", "route", "status"],
            ),
            request_errors: make.counters(
                "app_http_errors_total",
                "Answers that were problems, by error code.",
                &["code"],
            ),
            provider_calls: make.durations_by(
                "app_provider_call_duration_seconds",
                "Calls of other people's services, to the head of the answer, by what was asked and by `ok` or the error code.",
                &STEPS,
                &["provider", "call", "outcome"],
            ),
            registry: make.registry,
            declared: make.declared,
        }
    }

    /// All that was counted so far, and what was not yet, without samples.
    fn gather(&self) -> Vec<MetricFamily> {
        let mut families = self.registry.gather();
        let missing = |declared: &&MetricFamily| families.iter().all(|family| family.name() != declared.name());
        let missing: Vec<_> = self.declared.iter().filter(missing).cloned().collect();
        families.extend(missing);
        families
    }

    /// A look for work, which took `took` and brought `jobs`.
    pub fn record_claim(&self, outcome: ClaimOutcome, jobs: usize, took: Duration) {
        let child = || self.claims.with_label_values(&[outcome.as_str()]);
        self.known_claims[outcome as usize].get_or_init(child).observe(took.as_secs_f64());
        self.claimed_jobs.inc_by(jobs as u64);
    }

    /// A step of a job.
    pub fn record_step(&self, step: Step, outcome: StepOutcome, took: Duration) {
        let child = || self.steps.with_label_values(&[step.as_str(), outcome.as_str()]);
        self.known_steps[step as usize][outcome as usize].get_or_init(child).observe(took.as_secs_f64());
    }

    /// A step that failed: why, and what becomes of the job.
    pub fn record_failure(&self, step: Step, code: Code, verdict: Verdict) {
        let verdict = match verdict {
            Verdict::Retry(_) => "retry",
            Verdict::Deadletter => "deadletter",
            Verdict::Pause => "pause",
        };
        self.failures.with_label_values(&[step.as_str(), code.as_str(), verdict]).inc();
    }

    /// Jobs freed because their worker had let the lease expire.
    pub fn record_taken_over(&self, jobs: u64) {
        self.taken_over_jobs.inc_by(jobs);
    }

    /// A connection was asked of the pool and came, or did not come, after `took`.
    pub fn record_pool_wait(&self, took: Duration) {
        self.pool_waits.observe(took.as_secs_f64());
    }

    /// The database refused, or could not be reached.
    pub fn record_database_error(&self, code: Code) {
        self.database_errors.with_label_values(&[code.as_str()]).inc();
    }

    /// A transaction runs again after a serialization failure or a deadlock.
    pub fn record_transaction_rerun(&self) {
        self.transaction_reruns.inc();
    }

    /// A request was answered. `route` must be a template of the route table, never a path that a client sent.
    pub fn record_request(&self, method: &str, route: &str, status: u16, took: Duration) {
        // A client may send any word as a method.
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let class = CLASSES[usize::from((status / 100).clamp(1, 5)) - 1];
        self.requests.with_label_values(&[method, route, class]).observe(took.as_secs_f64());
    }

    /// A provider was asked and answered, or did not: `ok`, or the code of the failure.
    pub fn record_provider_call(
        &self,
        provider: &'static str,
        call: ProviderCall,
        outcome: Result<(), Code>,
        took: Duration,
    ) {
        self.provider_calls
            .with_label_values(&[provider, call.as_str(), outcome.map_or_else(Code::as_str, |()| "ok")])
            .observe(took.as_secs_f64());
    }

    /// An answer was a problem with this code.
    pub fn record_request_error(&self, code: Code) {
        self.request_errors.with_label_values(&[code.as_str()]).inc();
    }
}
