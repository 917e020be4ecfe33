//! `app reembed`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use domain::money::Cents;
use uuid::Uuid;

/// `app reembed`.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    app reembed plan --model multilingual-e5-small       what it takes\n  \
    app reembed start --model multilingual-e5-small      make its vectors beside those that there are\n  \
    app reembed status --wait 3600                       how far that is\n  \
    app reembed switch --questions golden.jsonl --user 6b0f…\n  \
    app reembed rollback                                 the way back, at any time until …\n  \
    app reembed finish                                   … the vectors of the model before are deleted\n\n\
    Uses DATABASE_URL directly, not the API. docs/operations.md, \"Changing the embedding model\", has the steps.")]
pub struct ReembedArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: ReembedAction,
}

/// `app reembed …`.
#[derive(Debug, Subcommand)]
pub enum ReembedAction {
    /// Print passages, tokens, money and hours of a change to a model; change nothing
    #[command(after_long_help = "Examples:\n  \
        app reembed plan --model multilingual-e5-small\n  \
        app reembed plan --model text-embedding-3-small --provider openai --cents-per-million-tokens 2\n\n\
        A model of a service is asked for one word, to see that it works.")]
    Plan(PlanArgs),
    /// Begin: the workers make the new vectors behind all documents, beside the vectors that searches use
    #[command(after_long_help = "Examples:\n  \
        app reembed start --model multilingual-e5-small\n  \
        app reembed start --model text-embedding-3-small --provider openai --passages-per-minute 3000\n\n\
        Called again for the same model it changes the rate, lets jobs that were given up go on, and tries refused passages\n\
        once more. Nothing that has a vector is embedded or paid again.")]
    Start(StartArgs),
    /// Show what is done and left, the rate, the time left and what is wrong
    #[command(after_long_help = "Examples:\n  \
        app reembed status\n  \
        app reembed status --wait 3600     until nothing is left; exit 1 if that takes longer, or the run stands still")]
    Status(StatusArgs),
    /// Make the new model the one of searches, after a comparison on your golden questions
    #[command(after_long_help = "Examples:\n  \
        app reembed switch --questions golden.jsonl --user 6b0f9d5e-3f1c-4d6a-9a55-0d3f6c1f2b11\n  \
        app reembed switch --without-questions\n\n\
        The questions are those of `app eval`. Refused while passages lack a vector, and if less is found by meaning.")]
    Switch(SwitchArgs),
    /// Make the model before the one of searches again
    #[command(after_long_help = "Example:\n  app reembed rollback")]
    Rollback,
    /// Keep the active model alone: delete the vectors of the other
    #[command(after_long_help = "Examples:\n  \
        app reembed finish                 after the switch, or after a rollback\n  \
        app reembed finish --discard       a change that was never switched to is given up\n\n\
        There is no way back from it. If it is stopped, housekeeping goes on.")]
    Finish(FinishArgs),
}

/// The model to change to.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// Its name: of its folder, or the service's name of it
    #[arg(long, value_name = "NAME")]
    pub model: String,
    /// The version of its vectors: another one makes all vectors new, for another prefix or dimension
    #[arg(long = "vectors-version", value_name = "VERSION", default_value = "1")]
    pub vectors_version: String,
    /// What computes its vectors
    #[arg(long, value_enum, default_value_t = Provider::Local)]
    pub provider: Provider,
    /// Components of a vector, where the service's model has a shorter form
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16_000))]
    pub dimensions: Option<u16>,
}

/// What computes the vectors of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    /// This machine, by a model in a folder
    Local,
    /// The service of OPENAI_API_URL
    #[value(name = "openai")]
    OpenAi,
}

/// `app reembed plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// What the service charges for a million tokens, in US cents (default: its price in EMBED_PRICES)
    #[arg(long, value_name = "CENTS")]
    pub cents_per_million_tokens: Option<Cents>,
    /// Reckon with at most so many passages a minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub passages_per_minute: Option<i32>,
}

/// `app reembed start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Passages a minute of all workers together, at most; 0: no limit but the service's
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    pub passages_per_minute: i32,
    /// Jobs that share the passages, each in one slot of a worker; one for each worker by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=64))]
    pub jobs: Option<i32>,
}

/// `app reembed status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Wait for up to this many seconds until nothing is left
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u64>,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `app reembed switch`.
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// Golden questions on which both models are compared, one JSON object a line, as for `app eval`
    #[arg(long, value_name = "FILE", requires = "user", required_unless_present = "without_questions")]
    pub questions: Option<PathBuf>,
    /// The user whose documents answer them
    #[arg(long, value_name = "UUID")]
    pub user: Option<Uuid>,
    /// Switch without a comparison
    #[arg(long, conflicts_with = "questions")]
    pub without_questions: bool,
    /// How much less of hit@10 by meaning the new model may have
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    pub may_lose: f64,
    /// Leave passages that the service refuses to search by words
    #[arg(long)]
    pub leave_refused: bool,
}

/// `app reembed finish`.
#[derive(Debug, Args)]
pub struct FinishArgs {
    /// Give up a change that was never switched to: delete the new vectors
    #[arg(long)]
    pub discard: bool,
}
