//! `app reembed switch` and `rollback`: each moves the row `active_model` by one statement.

use std::process::ExitCode;

use super::{Reembed, active_within, refusal};
use crate::cli::SwitchArgs;
use client::render;
use domain::Code;
use store::{
    model_switch::{ModelSwitch, count_reembedded, get_model_switch, roll_back_model, switch_model, wake_reembed_jobs},
    notify_workers,
};

impl Reembed {
    /// Makes the new model the one of searches.
    pub(super) async fn switch(&self, args: &SwitchArgs) -> anyhow::Result<ExitCode> {
        let switch = self.going_on().await?;
        if !switch.is_running() {
            return Err(refusal(Code::ReembedNotRunning, &format!("The change is {}", switch.state)).into());
        }
        if switch.is_switched {
            return Err(refusal(Code::ReembedNothingToDo, &format!("{} is active already", switch.active())).into());
        }
        self.refuse_old_workers().await?;
        self.refuse_incomplete(&switch, args.leave_refused).await?;
        match (&args.questions, args.user) {
            (Some(questions), Some(user)) => self.compare(&switch, questions, user, args.may_lose).await?,
            _ => render::print("not compared: --without-questions\n")?,
        }
        if !switch_model(&self.db, args.leave_refused).await? {
            // Documents have come since.
            self.wake().await?;
            return Err(refusal(Code::ReembedIncomplete, "Documents have come meanwhile").into());
        }
        render::print(&format!(
            "switched: searches use {}. {}\nSet EMBED_MODEL={} EMBED_PROVIDER={}{} for all processes when you next deploy.\n\
             The way back: app reembed rollback. When you are content: app reembed finish\n",
            switch.new_model(),
            active_within(),
            switch.model,
            switch.provider,
            if switch.version == "1" { String::new() } else { format!(" EMBED_VERSION={}", switch.version) },
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn refuse_incomplete(&self, switch: &ModelSwitch, leave_refused: bool) -> anyhow::Result<()> {
        let seen = self.look(switch.clone()).await?;
        if !seen.is_ready() {
            self.wake().await?;
            let found = match seen.counts.missing {
                0 => format!("The vectors of {} documents are not packed yet", seen.unpacked),
                missing => format!("{missing} passages have no vector of {} yet", switch.model),
            };
            return Err(refusal(Code::ReembedIncomplete, &found).into());
        }
        if seen.counts.refused > 0 && !leave_refused {
            let found = format!("The service refused the texts of {} passages", seen.counts.refused);
            return Err(refusal(Code::ReembedRefusedTexts, &found).into());
        }
        Ok(())
    }

    /// Makes the model before the one of searches.
    pub(super) async fn roll_back(&self) -> anyhow::Result<ExitCode> {
        let switch = get_model_switch(&self.db).await?;
        let switch = switch.ok_or_else(|| refusal(Code::ReembedNotRunning, "No change of model was begun"))?;
        if !switch.is_running() {
            let found = format!("The vectors of {} are deleted, or are being deleted", other(&switch));
            return Err(refusal(Code::ReembedFinished, &found).into());
        }
        if !roll_back_model(&self.db).await? {
            let found = format!("{} is active", switch.old_model());
            return Err(refusal(Code::ReembedNothingToDo, &found).into());
        }
        self.wake().await?;
        let lacking = count_reembedded(&self.db, &switch.old_model().embed_model()).await?.missing;
        let left = match lacking {
            0 => String::new(),
            _ => format!(
                "{lacking} passages have come since the switch and lack a vector of it: words find them until the workers have \
                 made these.\n"
            ),
        };
        render::print(&format!("rolled back: searches use {}. {}\n{left}", switch.old_model(), active_within()))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Lets the jobs of the run look for documents at once.
    async fn wake(&self) -> anyhow::Result<()> {
        wake_reembed_jobs(&self.db).await?;
        notify_workers(&self.db).await?;
        Ok(())
    }
}

/// The model that is not active.
fn other(switch: &ModelSwitch) -> String {
    if switch.is_switched { switch.old_model() } else { switch.new_model() }.to_string()
}
