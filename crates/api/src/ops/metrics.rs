//! `/metrics`: figures about this process, the queue, the database and the workers, in Prometheus' text format 0.0.4.
//!
//! Open to everyone, as `/health` is: it has counts, the names of tables, routes and codes, and commits of builds; no
//! user, no document, and no name that comes from a client or another program.
//!
//! The figures of the process are always there; the others only while the database answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, web};
use tokio::sync::Mutex;

use crate::http::{ApiError, ApiState};
use store::gauges::{Gauges, get_gauges};
use telemetry::metrics::{CONTENT_TYPE, Page, Process, render_process};

/// The least time that an answer is kept: the database is asked once for all scrapes in it.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// An answer is kept for this many times as long as it took, so that figures use one connection for a twentieth of the
/// time at most.
const REST: u32 = 20;
/// The most that a scrape waits: half of the 10 s after which Prometheus gives up.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The last figures out of the database. Cheap to clone.
#[derive(Clone, Default)]
pub struct MetricsCache(Arc<Mutex<Option<Figures>>>);

struct Figures {
    text: String,
    stale_at: Instant,
}

/// Figures for Prometheus.
///
/// Of this process, the queue, the database and the workers, in the text format 0.0.4. 200 without a database, too,
/// with `app_database_up 0`.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "Service",
    responses((status = 200, description = "The figures.", body = String, content_type = "text/plain"))
)]
pub async fn metrics(state: web::Data<ApiState>, cache: web::Data<MetricsCache>) -> HttpResponse {
    let figures = match tokio::time::timeout(ANSWER_WITHIN, figures(&state, &cache)).await {
        Ok(Ok(figures)) => Some(figures),
        Ok(Err(error)) => {
            tracing::debug!(error.code = error.code().as_str(), "no figures out of the database: {error}");
            None
        }
        Err(_elapsed) => None,
    };
    let mut page = Page::default();
    let process = Process { build: &state.build, database_up: figures.is_some(), pool: state.db.pool_status() };
    render_process(&mut page, &process);
    let text = page.into_text() + &figures.unwrap_or_default();
    HttpResponse::Ok().content_type(CONTENT_TYPE).body(text)
}

/// The last figures while they are fresh, else new ones; requests that come meanwhile wait for those.
async fn figures(state: &ApiState, cache: &MetricsCache) -> Result<String, ApiError> {
    let mut cached = cache.0.lock().await;
    if let Some(figures) = cached.as_ref().filter(|figures| Instant::now() < figures.stale_at) {
        return Ok(figures.text.clone());
    }
    *cached = None;
    let conn = state.conn().await?;
    let began = Instant::now();
    let gauges = get_gauges(&conn).await?;
    drop(conn);
    let text = render(&gauges);
    let stale_at = Instant::now() + FRESH_FOR.max(began.elapsed() * REST);
    *cached = Some(Figures { text: text.clone(), stale_at });
    Ok(text)
}

fn render(gauges: &Gauges) -> String {
    let mut page = Page::default();
    render_jobs(&mut page, gauges);
    render_tables(&mut page, gauges);
    render_workers(&mut page, gauges);
    page.into_text()
}

fn render_jobs(page: &mut Page, gauges: &Gauges) {
    let mut jobs = page.gauge(
        "upload_jobs",
        "Jobs by state and status, counted; done and cancelled ones are in upload_jobs_ended_estimate.",
    );
    for count in &gauges.jobs {
        jobs.sample(&[("state", &count.state), ("status", &count.status)], count.jobs);
    }
    page.single("upload_jobs_due", "Jobs that could run and wait for a worker.", gauges.due_jobs());
    page.single("upload_jobs_running", "Jobs that a worker has in hand.", gauges.jobs_in("working"));
    page.single(
        "upload_jobs_ended_estimate",
        "Jobs done or cancelled, as of the last ANALYZE.",
        gauges.ended_jobs_estimate(),
    );
    page.single(
        "upload_job_oldest_due_age_seconds",
        "How long the first job that could run has waited for a worker; 0 when none is due.",
        gauges.oldest_due_seconds(),
    );
    page.single(
        "upload_job_longest_running_seconds",
        "How long ago the first of the jobs in hand was claimed; 0 when there is none.",
        gauges.longest_in_hand_seconds(),
    );
    page.single("upload_users_waiting", "Users with a job that is due.", gauges.users_waiting);
    let mut recent = page.gauge(
        "upload_recent_job_events",
        "Ends, retries, failures and takeovers of jobs among the newest 20,000 events of the last 5 minutes.",
    );
    for count in &gauges.recent {
        recent.sample(&[("type", &count.kind), ("class", &count.class)], count.events);
    }
}

fn render_tables(page: &mut Page, gauges: &Gauges) {
    let mut rows = page.gauge("postgres_table_rows", "Rows, as of the last vacuum or ANALYZE.");
    for table in &gauges.tables {
        rows.sample(&[("table", &table.table)], table.rows);
    }
    let mut dead = page.gauge("postgres_table_dead_rows", "Row versions that no vacuum has removed yet, estimated.");
    for table in &gauges.tables {
        dead.sample(&[("table", &table.table)], table.dead_rows);
    }
    let mut ages =
        page.gauge("postgres_table_vacuum_age_seconds", "Since the last vacuum; absent where there was none.");
    for table in &gauges.tables {
        if let Some(age) = table.vacuumed_seconds_ago {
            ages.sample(&[("table", &table.table)], age);
        }
    }
    page.single(
        "postgres_oldest_transaction_age_seconds",
        "For how long the oldest transaction in this database has been open; no vacuum removes what died since.",
        gauges.oldest_transaction.as_ref().map_or(0, |open| open.open_for_seconds),
    );
}

fn render_workers(page: &mut Page, gauges: &Gauges) {
    page.single("upload_workers_alive", "Workers seen within the last minute.", gauges.workers_alive());
    let mut alive = page.gauge("upload_workers", "Workers seen within the last minute, by the commit of their build.");
    for build in &gauges.workers {
        alive.sample(&[("commit", &build.commit)], build.workers);
    }
    let mut slots = page.gauge("upload_worker_slots", "Jobs that those workers can run at once.");
    for build in &gauges.workers {
        slots.sample(&[("commit", &build.commit)], build.slots);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use domain::{Code, Step, Verdict, build_info::BuildInfo};
    use store::{
        events::RecentEvents,
        gauges::{JobCount, TableGauge},
    };
    use telemetry::metrics::{ClaimOutcome, METRICS, PoolStatus, StepOutcome};

    fn gauges() -> Gauges {
        let count = |state: &str, jobs, due| JobCount {
            state: state.to_owned(),
            status: "uploaded".to_owned(),
            jobs,
            due_jobs: due_jobs(due),
            due_for_seconds: due,
            in_hand_for_seconds: (state == "working").then_some(301),
        };
        Gauges {
            jobs: vec![count("queued", 3, Some(12)), count("retryable", 1, None), count("working", 2, None)],
            users_waiting: 2,
            tables: vec![TableGauge {
                table: "upload_jobs".to_owned(),
                rows: 100,
                dead_rows: 5,
                vacuumed_seconds_ago: None,
            }],
            recent: vec![RecentEvents { kind: "retry".to_owned(), class: "quota".to_owned(), events: 4 }],
            ..Gauges::default()
        }
    }

    fn due_jobs(due: Option<i64>) -> i64 {
        if due.is_some() { 2 } else { 0 }
    }

    /// Both parts, with something in every metric. Made once: what a process counts is one for all tests that share it.
    static WHOLE_PAGE: LazyLock<String> = LazyLock::new(|| {
        let took = Duration::from_millis(3);
        METRICS.record_claim(ClaimOutcome::Claimed, 2, took);
        METRICS.record_step(Step::Embed, StepOutcome::Failed, took);
        METRICS.record_failure(Step::Embed, Code::ModelMissing, Verdict::Pause);
        METRICS.record_pool_wait(took);
        METRICS.record_database_error(Code::DatabaseUnavailable);
        METRICS.record_request("GET", "/jobs/{id}", 404, took);
        METRICS.record_request_error(Code::JobNotFound);
        let mut page = Page::default();
        let build = BuildInfo::new("abc", "main", 11, |_| None);
        let pool = PoolStatus { size: 10, open: 4, idle: 3, waiting: 0 };
        render_process(&mut page, &Process { build: &build, database_up: true, pool });
        page.into_text() + &render(&gauges())
    });

    #[test]
    fn figures_stand_under_their_names() {
        let text = &*WHOLE_PAGE;
        for line in [
            "app_database_up 1",
            "app_database_pool_connections{state=\"in_use\"} 1",
            "app_claimed_jobs_total 2",
            "app_claim_duration_seconds_count{outcome=\"claimed\"} 1",
            "app_step_duration_seconds_bucket{outcome=\"failed\",step=\"embed\",le=\"0.005\"} 1",
            "app_step_failures_total{code=\"model_missing\",step=\"embed\",verdict=\"pause\"} 1",
            "app_http_request_duration_seconds_count{method=\"GET\",route=\"/jobs/{id}\",status=\"4xx\"} 1",
            "app_http_errors_total{code=\"job_not_found\"} 1",
            "upload_jobs{state=\"queued\",status=\"uploaded\"} 3",
            "upload_jobs_due 2",
            "upload_jobs_running 2",
            "upload_jobs_ended_estimate 94",
            "upload_job_oldest_due_age_seconds 12",
            "upload_job_longest_running_seconds 301",
            "upload_recent_job_events{type=\"retry\",class=\"quota\"} 4",
            "upload_users_waiting 2",
            "upload_workers_alive 0",
            "postgres_table_dead_rows{table=\"upload_jobs\"} 5",
            "postgres_oldest_transaction_age_seconds 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn every_metric_is_named_once_and_every_sample_has_its_type_before_it() {
        let text = &*WHOLE_PAGE;
        let mut typed: Vec<(&str, &str)> = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(typed.iter().all(|(known, _)| *known != name), "{name} comes twice");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
                typed.push((name, kind));
            } else if !line.starts_with('#') {
                let sample = line.split(['{', ' ']).next().unwrap();
                let (name, kind) = *typed.last().unwrap();
                let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(suffixes.iter().any(|suffix| sample == format!("{name}{suffix}")), "{line}");
            }
        }
    }
}
