//! `app reembed finish`.

use std::{process::ExitCode, time::Duration};

use super::{FOLLOWED, Reembed, refusal};
use crate::cli::FinishArgs;
use client::render;
use domain::Code;
use store::model_switch::finish_model_switch;

/// How long it works between two looks whether it is to stop.
const SLICE: Duration = Duration::from_secs(1);

impl Reembed {
    /// Deletes the vectors of the model that is not active.
    pub(super) async fn finish(&self, args: &FinishArgs) -> anyhow::Result<ExitCode> {
        let switch = self.going_on().await?;
        if switch.is_running() {
            if !switch.is_switched && !switch.was_switched && !args.discard {
                let found = format!("Searches use {}, and never used {}", switch.active(), switch.new_model());
                return Err(refusal(Code::ReembedNotSwitched, &found).into());
            }
            self.refuse_old_workers().await?;
            let since = Duration::try_from_secs_f64(switch.active_for_seconds).unwrap_or_default();
            // A process that has not followed yet would look for what is deleted.
            tokio::time::sleep(FOLLOWED.saturating_sub(since)).await;
        }
        if !finish_model_switch(&self.db).await? {
            let found = format!("Passages have no vector of {} yet", switch.active());
            return Err(refusal(Code::ReembedIncomplete, &found).into());
        }
        let mut documents = 0;
        loop {
            match housekeeping::model::finish(&self.db, SLICE).await? {
                0 => break,
                done => documents += done,
            }
            if self.ctx.stop.is_cancelled() {
                anyhow::bail!(
                    "stopped after {documents} documents; housekeeping goes on, and so does `app reembed finish`"
                );
            }
        }
        render::print(&format!(
            "finished: the vectors of {documents} documents are those of {} alone.\n",
            switch.active()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}
