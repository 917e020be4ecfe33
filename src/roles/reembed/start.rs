//! `app reembed start`.

use std::process::ExitCode;

use super::{Reembed, provider_name, refusal};
use crate::cli::StartArgs;
use client::render;
use domain::Code;
use store::{
    model_switch::{ModelSwitch, begin_model_switch, get_model_switch, plan_reembedding, resume_model_switch},
    notify_workers,
    workers::list_live_workers,
};

/// The most jobs without `--jobs`, for fleets of many workers.
const MOST_JOBS: i32 = 16;

impl Reembed {
    /// Begins a run, or lets one to the same model go on.
    pub(super) async fn start(&self, args: &StartArgs) -> anyhow::Result<ExitCode> {
        self.refuse_old_workers().await?;
        if let Some(switch) = get_model_switch(&self.db).await?.filter(|switch| !switch.is_finished()) {
            return self.resume(&switch, args).await;
        }
        let embedder = self.new_model(&args.model).await?;
        let provider = provider_name(embedder.as_ref());
        let jobs = self.jobs(args).await?;
        if !begin_model_switch(&self.db, embedder.model(), provider, args.passages_per_minute, jobs).await? {
            let switch = self.going_on().await?;
            return Err(running(&switch).into());
        }
        notify_workers(&self.db).await?;
        let plan = plan_reembedding(&self.db, embedder.model()).await?;
        render::print(&format!(
            "begun: {} passages get a vector of {} beside the one they have, in {jobs} {} behind all documents.\n\
             Searches and uploads go on by {}. Next: app reembed status --wait 3600\n",
            plan.lacking,
            embedder.model().name,
            if jobs == 1 { "job" } else { "jobs" },
            self.active().await?,
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn resume(&self, switch: &ModelSwitch, args: &StartArgs) -> anyhow::Result<ExitCode> {
        let is_same = (&switch.model, &switch.version) == (&args.model.model, &args.model.vectors_version);
        if !is_same || !switch.is_running() {
            return Err(running(switch).into());
        }
        resume_model_switch(&self.db, args.passages_per_minute).await?;
        notify_workers(&self.db).await?;
        render::print(&format!("goes on: the change to {} was begun before.\n", switch.new_model()))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn jobs(&self, args: &StartArgs) -> anyhow::Result<i32> {
        if let Some(jobs) = args.jobs {
            return Ok(jobs);
        }
        let workers = list_live_workers(&self.db).await?.len();
        Ok(i32::try_from(workers).unwrap_or(MOST_JOBS).clamp(1, MOST_JOBS))
    }
}

fn running(switch: &ModelSwitch) -> domain::Failure {
    let found = format!("The change from {} to {} is {}", switch.old_model(), switch.new_model(), switch.state);
    refusal(Code::ReembedRunning, &found)
}
