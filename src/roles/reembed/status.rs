//! `app reembed status`.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::Reembed;
use crate::cli::StatusArgs;
use client::render;
use store::{
    beside::count_unpacked_beside,
    model_switch::{
        ModelSwitch, ReembedCounts, ReembedJob, count_recent_vectors, count_reembedded, get_model_switch,
        list_reembed_jobs, list_refused_codes,
    },
};

/// Between two looks of `--wait`.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The time over which the rate is measured.
const RATE_SECONDS: i32 = 60;

/// What a run looks like.
pub(super) struct Seen {
    pub(super) switch: ModelSwitch,
    pub(super) counts: ReembedCounts,
    pub(super) unpacked: i64,
    recent: i64,
    refused: Vec<(String, i64)>,
    jobs: Vec<ReembedJob>,
}

impl Reembed {
    /// Prints how far the run is.
    pub(super) async fn status(&self, args: &StatusArgs) -> anyhow::Result<ExitCode> {
        let deadline = Instant::now() + Duration::from_secs(args.wait.unwrap_or(0));
        loop {
            let Some(switch) = get_model_switch(&self.db).await? else {
                let active = self.active().await?;
                render::print(&format!("no change of model was begun; searches use {active}\n"))?;
                return Ok(ExitCode::SUCCESS);
            };
            let seen = self.look(switch).await?;
            let waits = args.wait.is_some() && !seen.is_ready() && seen.switch.is_running();
            if waits && seen.given_up() == 0 && Instant::now() < deadline && !self.ctx.stop.is_cancelled() {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            if args.json {
                render::print_json(&seen.json())?;
            } else {
                render::print(&seen.text())?;
            }
            return Ok(if waits { ExitCode::FAILURE } else { ExitCode::SUCCESS });
        }
    }

    /// Looks at the run.
    pub(super) async fn look(&self, switch: ModelSwitch) -> anyhow::Result<Seen> {
        let (db, model) = (&self.db, switch.new_model().embed_model());
        Ok(Seen {
            counts: count_reembedded(db, &model).await?,
            unpacked: if switch.is_running() { count_unpacked_beside(db, &model).await? } else { 0 },
            recent: count_recent_vectors(db, &model, RATE_SECONDS).await?,
            refused: list_refused_codes(db).await?,
            jobs: list_reembed_jobs(db).await?,
            switch,
        })
    }
}

impl Seen {
    /// Whether the new model can be switched to.
    pub(super) fn is_ready(&self) -> bool {
        self.counts.missing == 0 && self.unpacked == 0
    }

    fn jobs_in(&self, state: &str) -> usize {
        self.jobs.iter().filter(|job| job.state == state).count()
    }

    fn given_up(&self) -> usize {
        self.jobs_in("deadletter")
    }

    /// What the jobs wait for or were given up for: code and message, each once.
    fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = Vec::new();
        for job in &self.jobs {
            let failed = job.last_error.as_ref().filter(|_| job.state == "deadletter" || job.state == "retryable");
            for problem in job.waits_for.iter().chain(failed) {
                let of = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default();
                let line = format!("{}: {}", of("code"), of("message"));
                if !problems.contains(&line) {
                    problems.push(line);
                }
            }
        }
        problems
    }

    fn minutes_left(&self) -> Option<f64> {
        let per_minute = self.recent as f64 * 60.0 / f64::from(RATE_SECONDS);
        (self.recent > 0).then(|| self.counts.missing as f64 / per_minute)
    }

    fn json(&self) -> Value {
        json!({
            "state": self.switch.state, "from": self.switch.old_model().to_string(), "to": self.switch.new_model().to_string(),
            "active": self.switch.active().to_string(), "passages": self.counts.passages, "left": self.counts.missing,
            "refused": self.counts.refused, "unpacked_documents": self.unpacked, "passages_last_minute": self.recent,
            "minutes_left": self.minutes_left(), "jobs_working": self.jobs_in("working"), "jobs_given_up": self.given_up(),
            "problems": self.problems(),
        })
    }

    fn text(&self) -> String {
        let (switch, counts) = (&self.switch, &self.counts);
        let done = counts.passages - counts.missing - counts.refused;
        let mut lines = vec![
            ("change", format!("{} to {}, {}", switch.old_model(), switch.new_model(), switch.state)),
            ("searches", format!("use {}", switch.active())),
            ("passages", format!("{done} of {} done, {} left", counts.passages, counts.missing)),
        ];
        if switch.is_running() {
            if self.unpacked > 0 {
                lines.push(("packing", format!("{} documents are left", self.unpacked)));
            }
            let left = match self.minutes_left() {
                _ if counts.missing == 0 => String::new(),
                Some(minutes) => format!("; about {minutes:.0} minutes left"),
                None => "; how long it takes is not known".to_owned(),
            };
            lines.push(("rate", format!("{} passages in the last minute{left}", self.recent)));
            let (working, given_up) = (self.jobs_in("working"), self.given_up());
            let waiting = self.jobs.len() - working - given_up;
            lines.push(("jobs", format!("{working} working, {waiting} waiting, {given_up} given up")));
        }
        lines.extend(self.refused.iter().map(|(code, texts)| ("refused", format!("{texts} texts by {code}"))));
        lines.extend(self.problems().into_iter().map(|problem| ("problem", problem)));
        lines.push(("next", self.next()));
        lines.iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect()
    }

    fn next(&self) -> String {
        let next = match self.switch.state.as_str() {
            "finished" => "nothing; begin another change by `app reembed start`",
            "finishing" => "`app reembed finish` goes on, and so does housekeeping",
            _ if self.given_up() > 0 => "mend the problem, then `app reembed start` with the same model",
            _ if self.switch.is_switched => "`app reembed finish`, or the way back: `app reembed rollback`",
            _ if self.is_ready() => "`app reembed switch`",
            _ => "wait: `app reembed status --wait 3600`",
        };
        next.to_owned()
    }
}
