//! `/metrics`: figures about queue, database and workers, in Prometheus' text format 0.0.4.
//!
//! Open, as `/health` is: there are counts in it, the names of our own tables and the commits of builds; no user, no
//! document, nothing that a client or another program named.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, web};
use tokio::sync::Mutex;

use super::{ApiError, ApiState};
use crate::{
    build_info::BuildInfo,
    db::gauges::{Gauges, get_gauges},
};

/// How long an answer is good for, at the least: however many ask, the database is asked once.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// An answer that took long is good for this many times as long, so that figures cost a twentieth of one connection at most.
const REST: u32 = 20;
/// A scrape gets its answer within this. Source: Prometheus gives up after 10 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The last answer. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct MetricsCache(Arc<Mutex<Option<Answer>>>);

struct Answer {
    text: String,
    stale_at: Instant,
}

/// `GET /metrics`.
pub async fn metrics(state: web::Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let text = tokio::time::timeout(ANSWER_WITHIN, answer(&state)).await.unwrap_or_else(|elapsed| {
        Err(ApiError::unavailable("database_unavailable", "The database does not answer in time.", elapsed))
    })?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

/// The last answer while it is fresh, else a new one; whoever asks meanwhile waits for that.
async fn answer(state: &ApiState) -> Result<String, ApiError> {
    let mut cached = state.metrics.0.lock().await;
    if let Some(answer) = cached.as_ref().filter(|answer| Instant::now() < answer.stale_at) {
        return Ok(answer.text.clone());
    }
    let conn = state.conn().await?;
    let began = Instant::now();
    let gauges = get_gauges(&conn).await?;
    drop(conn);
    let text = render(&gauges, &state.build);
    let stale_at = Instant::now() + FRESH_FOR.max(began.elapsed() * REST);
    *cached = Some(Answer { text: text.clone(), stale_at });
    Ok(text)
}

fn render(gauges: &Gauges, build: &BuildInfo) -> String {
    let mut page = Page::default();
    let mut jobs = page.gauge(
        "upload_jobs",
        "Jobs by state and status, counted; done and cancelled ones are in upload_jobs_ended_estimate.",
    );
    for count in &gauges.jobs {
        jobs.sample(&[("state", &count.state), ("status", &count.status)], count.jobs);
    }
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
    page.single("upload_users_waiting", "Users with a job that is due.", gauges.users_waiting);
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
    render_workers(&mut page, gauges);
    page.gauge("app_build_info", "Always 1; the build of this process.")
        .sample(&[("version", build.version), ("commit", &build.commit), ("branch", &build.branch)], 1);
    page.0
}

fn render_workers(page: &mut Page, gauges: &Gauges) {
    let mut alive = page.gauge("upload_workers", "Workers seen within the last minute, by the commit of their build.");
    for build in &gauges.workers {
        alive.sample(&[("commit", &build.commit)], build.workers);
    }
    let mut slots = page.gauge("upload_worker_slots", "Jobs that those workers can run at once.");
    for build in &gauges.workers {
        slots.sample(&[("commit", &build.commit)], build.slots);
    }
}

/// The text so far.
#[derive(Default)]
struct Page(String);

/// One metric, whose samples follow.
struct Metric<'a> {
    page: &'a mut String,
    name: &'static str,
}

impl Page {
    fn gauge(&mut self, name: &'static str, help: &str) -> Metric<'_> {
        // Writing to a String cannot fail.
        _ = write!(self.0, "# HELP {name} {}\n# TYPE {name} gauge\n", escaped(help, false));
        Metric { page: &mut self.0, name }
    }

    fn single(&mut self, name: &'static str, help: &str, value: i64) {
        self.gauge(name, help).sample(&[], value);
    }
}

impl Metric<'_> {
    fn sample(&mut self, labels: &[(&str, &str)], value: i64) {
        self.page.push_str(self.name);
        let pairs: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value, true))).collect();
        // Writing to a String cannot fail.
        _ = match pairs.is_empty() {
            true => writeln!(self.page, " {value}"),
            false => writeln!(self.page, "{{{}}} {value}", pairs.join(",")),
        };
    }
}

/// Backslash and line feed are escaped everywhere, the quote in labels only.
fn escaped(text: &str, label: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if label { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::gauges::{JobCount, TableGauge};

    #[test]
    fn labels_and_help_are_escaped_as_the_format_says() {
        let mut page = Page::default();
        page.gauge("x", "a \"b\" \\ \n c").sample(&[("l", "a\"b\\c\nd"), ("m", "n")], 7);
        assert_eq!(page.0, "# HELP x a \"b\" \\\\ \\n c\n# TYPE x gauge\nx{l=\"a\\\"b\\\\c\\nd\",m=\"n\"} 7\n");
    }

    #[test]
    fn every_metric_is_named_once_and_every_sample_has_its_type_before_it() {
        let count = |state: &str, jobs, due| JobCount {
            state: state.to_owned(),
            status: "uploaded".to_owned(),
            jobs,
            due_for_seconds: due,
        };
        let gauges = Gauges {
            jobs: vec![count("queued", 3, Some(12)), count("retryable", 1, None), count("working", 2, None)],
            users_waiting: 2,
            tables: vec![TableGauge {
                table: "upload_jobs".to_owned(),
                rows: 100,
                dead_rows: 5,
                vacuumed_seconds_ago: None,
            }],
            ..Gauges::default()
        };
        let build = BuildInfo::new("abc", "main", |_| None);
        let text = render(&gauges, &build);
        for line in [
            "upload_jobs{state=\"queued\",status=\"uploaded\"} 3",
            "upload_jobs_running 2",
            "upload_jobs_ended_estimate 94",
            "upload_job_oldest_due_age_seconds 12",
            "upload_users_waiting 2",
            "postgres_table_dead_rows{table=\"upload_jobs\"} 5",
            "postgres_oldest_transaction_age_seconds 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is missing in\n{text}");
        }
        let mut typed = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().unwrap();
                assert!(!typed.contains(&name), "{name} comes twice");
                typed.push(name);
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                assert_eq!(typed.last(), Some(&name), "{line}");
            }
        }
    }
}
