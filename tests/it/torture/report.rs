//! The report at the end: the faults, how the jobs ended, and broken invariants.

use std::{collections::BTreeMap, fmt};

use super::{
    HEARTBEAT, LEASE, TAKEOVER_LIMIT,
    chaos::{Chaos, Injected},
    invariants::{Checked, check},
    stack::rows,
};

/// How many jobs are named for each broken invariant, and for how many of them events and log lines are shown.
const NAMED: usize = 10;
const SHOWN: usize = 3;

/// A job that was taken over.
struct Takeover {
    job: String,
    /// From the last heartbeat (or the claim) to the takeover, minus outages of the database.
    seconds: f64,
    /// The same, including outages.
    with_outages: f64,
}

/// The printed report.
pub struct Report {
    heading: String,
    faults: Vec<Injected>,
    ends: Vec<Vec<String>>,
    figures: Vec<(String, String)>,
    invariants: Vec<Checked>,
    evidence: String,
    /// Jobs that were taken over.
    pub takeovers: usize,
}

impl Report {
    pub async fn make(
        url: &str,
        heading: String,
        mut figures: Vec<(String, String)>,
        further: Vec<Checked>,
        chaos: &Chaos,
    ) -> Self {
        let mut invariants = check(url).await;
        invariants.extend(further);
        let takeovers = list_takeovers(url).await;
        let late = takeovers.iter().filter(|takeover| takeover.seconds > TAKEOVER_LIMIT.as_secs_f64());
        let late = late.map(|takeover| (takeover.job.clone(), format!("{:.1} s", takeover.seconds))).collect();
        invariants.push(Checked { name: "late: a takeover that took too long", broken: late });
        let exits = chaos.bad_exits.iter().map(|exit| ("worker".to_owned(), exit.clone())).collect();
        invariants.push(Checked { name: "a drained worker that did not exit with 0", broken: exits });
        figures.extend(takeover_figures(&takeovers));
        figures.extend(counted_figures(url).await);
        let ends = rows(url, ENDS).await;
        let evidence = collect_evidence(url, &invariants, &chaos.log).await;
        let takeovers = takeovers.len();
        Self { heading, faults: chaos.injected.clone(), ends, figures, invariants, evidence, takeovers }
    }

    /// Whether every invariant holds.
    pub fn is_clean(&self) -> bool {
        self.invariants.iter().all(|checked| checked.broken.is_empty())
    }
}

const ENDS: &str =
    "SELECT j.state, j.status, CASE j.state WHEN 'deadletter' THEN j.last_error ->> 'code' ELSE '' END, count(*)
FROM upload_pipeline.upload_jobs AS j GROUP BY 1, 2, 3 ORDER BY 4 DESC";

fn takeover_figures(takeovers: &[Takeover]) -> Vec<(String, String)> {
    let longest = takeovers.iter().map(|takeover| takeover.seconds).fold(0.0, f64::max);
    let with_outages = takeovers.iter().map(|takeover| takeover.with_outages).fold(0.0, f64::max);
    let allowed = format!("{} lease + {} heartbeat + slack", LEASE.as_secs_f64(), HEARTBEAT.as_secs_f64());
    vec![
        ("takeovers".to_owned(), takeovers.len().to_string()),
        ("longest takeover".to_owned(), format!("{longest:.1} s ({:.1} s: {allowed})", TAKEOVER_LIMIT.as_secs_f64())),
        ("  with outages".to_owned(), format!("{with_outages:.1} s")),
    ]
}

/// Lists the takeovers, each timed from the last renewal of the owner's lease.
async fn list_takeovers(url: &str) -> Vec<Takeover> {
    let sql = format!(
        "SELECT t.job_id, t.until - t.since - t.away, t.until - t.since
FROM (SELECT s.*, (SELECT coalesce(sum(least(s.until, o.until) - greatest(s.since, o.since)), 0)
      FROM torture.outages AS o WHERE o.since < s.until AND o.until > s.since) AS away
  FROM (SELECT h.job_id, extract(epoch FROM h.old_lease)::float8 - {} AS since, extract(epoch FROM h.ts)::float8 AS until
    FROM torture.history AS h
    WHERE h.old_state = 'working' AND EXISTS (SELECT FROM upload_pipeline.events AS e
      WHERE e.job_id = h.job_id AND e.ts = h.ts AND (e.type = 'taken_over' OR e.code = 'worker_died'))) AS s) AS t",
        LEASE.as_secs_f64()
    );
    let takeover = |row: Vec<String>| Takeover {
        job: row[0].clone(),
        seconds: row[1].parse().unwrap(),
        with_outages: row[2].parse().unwrap(),
    };
    rows(url, &sql).await.into_iter().map(takeover).collect()
}

async fn counted_figures(url: &str) -> Vec<(String, String)> {
    let figures = [
        (
            "longest from SIGKILL to takeover",
            "SELECT round(coalesce(max(extract(epoch FROM h.ts)::float8 - b.at), 0)::numeric, 1) || ' s, of ' || count(*)
FROM torture.history AS h JOIN torture.workers AS w ON w.id = h.old_owner
JOIN torture.faults AS b ON b.worker = w.name AND b.fault = 'KillWorker'
WHERE h.old_state = 'working' AND h.state <> 'working' AND extract(epoch FROM h.ts)::float8 > b.at",
        ),
        (
            "longest from takeover to next claim",
            "SELECT format('%s s; of jobs that need not run alone %s s', max(w.seconds), max(w.seconds) FILTER (WHERE w.crashes < 2))
FROM (SELECT h.crashes, round(extract(epoch FROM n.ts - h.ts), 1) AS seconds
  FROM torture.history AS h
  CROSS JOIN LATERAL (SELECT c.ts, c.state FROM torture.history AS c WHERE c.job_id = h.job_id AND c.seq > h.seq ORDER BY c.seq LIMIT 1) AS n
  WHERE h.old_state = 'working' AND h.state IN ('queued', 'retryable') AND n.state = 'working'
    AND EXISTS (SELECT FROM upload_pipeline.events AS e WHERE e.job_id = h.job_id AND e.ts = h.ts AND e.type = 'taken_over')) AS w",
        ),
        ("hand-backs", "SELECT count(*) FROM upload_pipeline.events WHERE type = 'handed_back'"),
        (
            "retries, by reason",
            "SELECT coalesce(string_agg(c.code || ' ' || c.n, ', ' ORDER BY c.n DESC), 'none') FROM (
  SELECT e.code, count(*) AS n FROM upload_pipeline.events AS e WHERE e.type = 'retry' GROUP BY e.code) AS c",
        ),
        ("crashes counted", "SELECT coalesce(sum(h.crashes - h.old_crashes), 0) FROM torture.history AS h WHERE h.crashes > h.old_crashes"),
        (
            "longest wait of a page for its first claim",
            "SELECT coalesce(round(max(w.seconds))::text || ' s, median ' || round(percentile_cont(0.5) WITHIN GROUP (ORDER BY w.seconds)::numeric, 2) || ' s', 'none')
FROM torture.waits AS w",
        ),
    ];
    let mut counted = Vec::new();
    for (name, sql) in figures {
        counted.push((name.to_owned(), rows(url, sql).await.remove(0).remove(0)));
    }
    counted
}

/// Events, changes and log lines of the first jobs of each broken invariant. None of them contains a document's text.
async fn collect_evidence(url: &str, invariants: &[Checked], log: &str) -> String {
    let mut evidence = String::new();
    let jobs = invariants.iter().flat_map(|checked| checked.broken.iter().take(SHOWN)).map(|(job, _)| job.as_str());
    let jobs: std::collections::BTreeSet<&str> = jobs.filter(|job| uuid::Uuid::parse_str(job).is_ok()).collect();
    for job in jobs {
        let events = format!(
            "SELECT e.ts, e.type, e.code, e.payload::text FROM upload_pipeline.events AS e WHERE e.job_id = '{job}' ORDER BY e.seq"
        );
        let changes = format!(
            "SELECT h.ts, h.old_state || ' > ' || h.state, h.old_status || ' > ' || h.status, h.old_epoch || ' > ' || h.epoch,
  h.old_tries || ' > ' || h.tries, w.name, h.old_lease FROM torture.history AS h
LEFT JOIN torture.workers AS w ON w.id = coalesce(h.owner, h.old_owner) WHERE h.job_id = '{job}' ORDER BY h.seq"
        );
        for (title, sql) in [("events", events), ("changes", changes)] {
            let lines: Vec<String> = rows(url, &sql).await.into_iter().map(|row| row.join("  ")).collect();
            evidence.push_str(&format!("{title} of {job}\n  {}\n", lines.join("\n  ")));
        }
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(job)).collect();
        evidence.push_str(&format!("log of {job}\n  {}\n", lines.join("\n  ")));
    }
    evidence
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}\n\nfaults", self.heading)?;
        let mut counts: BTreeMap<_, usize> = BTreeMap::new();
        for injected in &self.faults {
            *counts.entry(injected.fault).or_default() += 1;
        }
        for (fault, count) in counts {
            writeln!(f, "  {:<48} {count:>6}", fault.as_str())?;
        }
        writeln!(f, "\nends of jobs")?;
        for end in &self.ends {
            writeln!(f, "  {:<12} {:<16} {:<18} {:>6}", end[0], end[1], end[2], end[3])?;
        }
        writeln!(f, "\nfigures")?;
        for (name, figure) in &self.figures {
            writeln!(f, "  {name:<34} {figure}")?;
        }
        writeln!(f, "\nmust be 0")?;
        for Checked { name, broken } in &self.invariants {
            writeln!(f, "  {} {name:<72} {:>4}", if broken.is_empty() { "✔" } else { "✖" }, broken.len())?;
            for (job, details) in broken.iter().take(NAMED) {
                writeln!(f, "      {job}  {details}")?;
            }
        }
        if !self.evidence.is_empty() {
            writeln!(f, "\n{}", self.evidence)?;
        }
        Ok(())
    }
}
