//! `app reembed`: changes the embedding model while uploads and searches go on.
//!
//! It begins a run, looks at it and moves the row `active_model`; the work is done by the workers (`pipeline`) and, at the end, by
//! housekeeping.

mod compare;
mod finish;
mod plan;
mod start;
mod status;
mod switch;

use std::{process::ExitCode, time::Duration};

use super::{
    Context,
    active_model::{DatabaseModel, FOLLOWS},
    usable::refuse_wrong_environment,
    wiring::{database_model, open_db},
};
use crate::cli::{ModelArgs, Provider, ReembedAction, ReembedArgs};
use config::EmbedProvider;
use domain::{
    Code, Failure,
    ports::{EmbedModel, Embedder},
};
use pg::Db;
use std::sync::Arc;
use store::{
    active_model::{ActiveModel, get_active_model},
    model_switch::{FIRST_SCHEMA, ModelSwitch, count_old_workers, get_model_switch},
};

/// From then on no process uses a model that was active before: each looks every [`FOLLOWS`], and ends what it has begun.
const FOLLOWED: Duration = Duration::from_secs(10);
const _: () = assert!(FOLLOWED.as_secs() > FOLLOWS.as_secs());

/// What the actions share.
struct Reembed {
    db: Db,
    model: DatabaseModel,
    ctx: Context,
}

/// Runs one action.
///
/// # Errors
///
/// The database cannot be reached or belongs to another environment, or the action is refused, with a code.
pub async fn run(args: ReembedArgs, ctx: Context) -> anyhow::Result<ExitCode> {
    let db = open_db(&ctx.config)?;
    refuse_wrong_environment(&db, ctx.config.environment).await?;
    let reembed = Reembed { model: database_model(&ctx.config, &db), db, ctx };
    match args.action {
        ReembedAction::Plan(args) => reembed.plan(&args).await,
        ReembedAction::Start(args) => reembed.start(&args).await,
        ReembedAction::Status(args) => reembed.status(&args).await,
        ReembedAction::Switch(args) => reembed.switch(&args).await,
        ReembedAction::Rollback => reembed.roll_back().await,
        ReembedAction::Finish(args) => reembed.finish(&args).await,
    }
}

impl Reembed {
    /// The active model.
    async fn active(&self) -> anyhow::Result<ActiveModel> {
        let active = get_active_model(&self.db).await?;
        Ok(active.ok_or_else(|| refusal(Code::ReembedNoModel, "This database has no vectors yet"))?)
    }

    /// The model to change to, made ready: its folder is whole, or its service takes the key and gives vectors.
    async fn new_model(&self, args: &ModelArgs) -> anyhow::Result<Arc<dyn Embedder>> {
        let active = self.active().await?;
        if (&active.model, &active.version) == (&args.model, &args.vectors_version) {
            return Err(refusal(Code::ReembedSameModel, &format!("{active} is the active model already")).into());
        }
        let provider = match args.provider {
            Provider::Local => EmbedProvider::Local,
            Provider::OpenAi => EmbedProvider::OpenAi,
        };
        let dimensions = args.dimensions.map(usize::from);
        Ok(self.model.try_new(provider, &args.model, &args.vectors_version, dimensions).await?)
    }

    /// The change that is going on.
    async fn going_on(&self) -> anyhow::Result<ModelSwitch> {
        let switch = get_model_switch(&self.db).await?.filter(|switch| !switch.is_finished());
        Ok(switch.ok_or_else(|| refusal(Code::ReembedNotRunning, "No change of model is going on"))?)
    }

    /// Refuses while workers of a build run that knows no change of model.
    async fn refuse_old_workers(&self) -> anyhow::Result<()> {
        match count_old_workers(&self.db, FIRST_SCHEMA).await? {
            0 => Ok(()),
            1 => Err(refusal(Code::ReembedOldWorkers, "A worker of an earlier build runs").into()),
            many => Err(refusal(Code::ReembedOldWorkers, &format!("{many} workers of an earlier build run")).into()),
        }
    }
}

/// A refusal that says what was found, and what to do by the table of codes.
fn refusal(code: Code, found: &str) -> Failure {
    Failure::new(code, format!("{found} ({code}). {}", code.remedy()))
}

/// The name that `active_model.provider` has for it.
fn provider_name(embedder: &dyn Embedder) -> &'static str {
    embedder.service().map_or(store::active_model::LOCAL, |service| service.name())
}

/// A model for people.
fn describe(model: &EmbedModel, provider: &str) -> String {
    format!("{} version {} ({} components, {provider})", model.name, model.version, model.dim)
}

/// How soon the change is seen.
fn active_within() -> String {
    format!(
        "Every process follows within {} seconds, and loads the model then; a search that cannot use it goes by words, and says so.",
        FOLLOWS.as_secs()
    )
}
