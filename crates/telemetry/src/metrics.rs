//! Counts what this process does: claims, steps, requests, failures, waits for connections.
//!
//! Each process has one set, [`METRICS`]. All label values are fixed sets, error codes or templates of the route table, so
//! the number of series is limited.
//!
//! Figures of the whole deployment, about the queue and the workers, come from the database: see `store::gauges`.

mod labels;
mod page;
mod render;

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
    core::Collector,
    proto::{MetricFamily, MetricType},
};

use domain::{Code, Step, Verdict};
use labels::{CLASSES, METHODS};
pub use labels::{ClaimOutcome, ProviderCall, StepOutcome};
pub use page::{CONTENT_TYPE, Metric, Page};
pub use render::{PoolStatus, Process, render_process};

/// Bounds in seconds, for one statement: milliseconds near the database, tens of milliseconds through a pooler.
const QUICK: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Bounds in seconds, from the statement of a checkpoint to five minutes, when an alert is raised for the job itself.
const STEPS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 150.0, 300.0];
/// Bounds in seconds. They include the 2 s of an alert, so that the alert needs no interpolation.
const REQUESTS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// The counts of this process since its start.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Each metric without samples, so that its help is shown before its first sample.
    declared: Vec<MetricFamily>,
    claims: HistogramVec,
    claimed_jobs: IntCounter,
    steps: HistogramVec,
    failures: IntCounterVec,
    taken_over_jobs: IntCounter,
    pool_waits: Histogram,
    database_errors: IntCounterVec,
    transaction_reruns: IntCounter,
    requests: HistogramVec,
    request_errors: IntCounterVec,
    provider_calls: HistogramVec,
}

/// The metrics of this process.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

static STARTED_AT: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// Records when this process started. It is called once, early.
pub(super) fn record_start() {
    LazyLock::force(&STARTED_AT);
}

/// Unwraps the result of making a metric from constants.
// Unwrap safety: prometheus refuses only invalid names, labels and bounds, and duplicate names. All of them are constants
// in this file, and every test that records anything makes all metrics.
#[expect(clippy::expect_used, reason = "see above")]
fn expect_valid<T>(metric: prometheus::Result<T>) -> T {
    metric.expect("the constants of the metrics should be valid")
}

/// Makes metrics and registers them.
#[derive(Default)]
struct Builder {
    registry: Registry,
    declared: Vec<MetricFamily>,
}

impl Builder {
    fn registered<T: Collector + Clone + 'static>(&mut self, metric: prometheus::Result<T>, kind: MetricType) -> T {
        let metric = expect_valid(metric);
        self.declared.extend(metric.desc().into_iter().map(|desc| page::family(&desc.fq_name, &desc.help, kind)));
        expect_valid(self.registry.register(Box::new(metric.clone())));
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
        let mut builder = Builder::default();
        Self {
            claims: builder.durations_by(
                "app_claim_duration_seconds",
                "Attempts to claim jobs, by outcome.",
                &QUICK,
                &["outcome"],
            ),
            claimed_jobs: builder.counter("app_claimed_jobs_total", "Jobs that this process has claimed."),
            steps: builder.durations_by(
                "app_step_duration_seconds",
                "Steps of jobs, by step and outcome.",
                &STEPS,
                &["step", "outcome"],
            ),
            failures: builder.counters(
                "app_step_failures_total",
                "Failed steps, by error code and by what happens to the job: retry, deadletter, or pause.",
                &["step", "code", "verdict"],
            ),
            taken_over_jobs: builder.counter(
                "app_taken_over_jobs_total",
                "Jobs that this process has taken over because their lease had expired.",
            ),
            pool_waits: builder.durations(
                "app_database_pool_wait_seconds",
                "Time from asking the pool for a connection to getting or not getting one, including the time to open it.",
                &QUICK,
            ),
            database_errors: builder.counters(
                "app_database_errors_total",
                "Failed connections and statements, by error code.",
                &["code"],
            ),
            transaction_reruns: builder.counter(
                "app_transaction_reruns_total",
                "Transactions run again after a serialization failure or a deadlock.",
            ),
            requests: builder.durations_by(
                "app_http_request_duration_seconds",
                "Requests, from the request's head to the response's head, by method, route and class of status.",
                &REQUESTS,
                &["method", "route", "status"],
            ),
            request_errors: builder.counters(
                "app_http_errors_total",
                "Error responses, by error code.",
                &["code"],
            ),
            provider_calls: builder.durations_by(
                "app_provider_call_duration_seconds",
                "Calls to outside services, to the response's head, by kind of call and by `ok` or the error code.",
                &STEPS,
                &["provider", "call", "outcome"],
            ),
            registry: builder.registry,
            declared: builder.declared,
        }
    }

    /// All metrics. Those that are not used yet have no samples.
    fn gather(&self) -> Vec<MetricFamily> {
        let mut families = self.registry.gather();
        let missing = |declared: &&MetricFamily| families.iter().all(|family| family.name() != declared.name());
        let missing: Vec<_> = self.declared.iter().filter(missing).cloned().collect();
        families.extend(missing);
        families
    }

    /// Records an attempt to claim jobs, which took `took` and claimed `jobs`.
    pub fn record_claim(&self, outcome: ClaimOutcome, jobs: usize, took: Duration) {
        self.claims.with_label_values(&[outcome.as_str()]).observe(took.as_secs_f64());
        self.claimed_jobs.inc_by(jobs as u64);
    }

    /// Records a step of a job.
    pub fn record_step(&self, step: Step, outcome: StepOutcome, took: Duration) {
        self.steps.with_label_values(&[step.as_str(), outcome.as_str()]).observe(took.as_secs_f64());
    }

    /// Records a failed step, with its error code and what happens to the job.
    pub fn record_failure(&self, step: Step, code: Code, verdict: Verdict) {
        let verdict = match verdict {
            Verdict::Retry(_) => "retry",
            Verdict::Deadletter => "deadletter",
            Verdict::Pause => "pause",
        };
        self.failures.with_label_values(&[step.as_str(), code.as_str(), verdict]).inc();
    }

    /// Records jobs that were taken over because their lease had expired.
    pub fn record_taken_over(&self, jobs: u64) {
        self.taken_over_jobs.inc_by(jobs);
    }

    /// Records how long a caller waited for a connection, or until none was given.
    pub fn record_pool_wait(&self, took: Duration) {
        self.pool_waits.observe(took.as_secs_f64());
    }

    /// Records a failed connection or statement.
    pub fn record_database_error(&self, code: Code) {
        self.database_errors.with_label_values(&[code.as_str()]).inc();
    }

    /// Records that a transaction runs again after a serialization failure or a deadlock.
    pub fn record_transaction_rerun(&self) {
        self.transaction_reruns.inc();
    }

    /// Records a request. `route` must be a template of the route table, never the path of the request.
    pub fn record_request(&self, method: &str, route: &str, status: u16, took: Duration) {
        // A client can send any word as the method.
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let class = CLASSES[usize::from((status / 100).clamp(1, 5)) - 1];
        self.requests.with_label_values(&[method, route, class]).observe(took.as_secs_f64());
    }

    /// Records a call to a provider. `outcome` is `ok` or the code of the failure.
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

    /// Records an error response with this code.
    pub fn record_request_error(&self, code: Code) {
        self.request_errors.with_label_values(&[code.as_str()]).inc();
    }
}
