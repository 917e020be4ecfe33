//! The command line: clap's types, without behaviour.

mod reembed;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use uuid::Uuid;

use check::CheckOptions;
use store::api_keys::Scope;

pub use reembed::{
    FinishArgs, ModelArgs, PlanArgs, Provider, ReembedAction, ReembedArgs, StartArgs, StatusArgs, SwitchArgs,
};

pub use client::args::{
    CancelArgs, DocumentsArgs, EvalArgs, JobArgs, JobsAction, JobsArgs, JobsListArgs, Least, RetryArgs, SearchArgs,
    UploadArgs, UsageArgs,
};

/// Takes in documents and makes them searchable in your own Postgres.
#[derive(Debug, Parser)]
#[command(
    name = "app",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    long_about = "Takes in documents (PDF, Word, PowerPoint, Excel, HTML, mail, books, text and more), cuts them into passages, \
                  embeds them and makes them searchable, all in your own Postgres.\n\n\
                  `app api` and `app worker` are the two services, `app migrate` and `app check` the release steps, \
                  `app dev` all of it on a laptop with nothing to set up.",
    after_long_help = "Try it:\n  \
                       app dev                            in one terminal: database, API and worker\n  \
                       app upload report.pdf              in another: watch it become searchable\n  \
                       app search \"what is covered?\"      and search it\n\n\
                       Settings come from config/*.toml and the environment; docs/configuration.md lists them.\n\
                       Exit codes: 0 success, 1 failed, 2 wrong arguments or configuration."
)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the HTTP API: uploads, live progress, search
    #[command(after_long_help = "Examples:\n  \
        DATABASE_URL=postgres://… STORAGE_URL=s3://… app api\n  \
        PORT=10000 app api                 PORT wins over API_PORT\n\n\
        It listens before the database is reachable; /livez answers at once, /readyz says what is missing.\n\
        SIGTERM: running requests are finished, then exit 0.")]
    Api,
    /// Run the worker: takes each uploaded document through the pipeline
    #[command(after_long_help = "Examples:\n  \
        DATABASE_URL=postgres://… STORAGE_URL=s3://… app worker\n  \
        WORKER_CONCURRENCY=4 app worker    four documents at once\n\n\
        Start any number, on any number of hosts: they share the queue in the database.\n\
        SIGTERM: running jobs are finished or handed back within 25 seconds, then exit 0.")]
    Worker,
    /// Bring the database schema up to date; safe to run twice at once
    #[command(after_long_help = "Examples:\n  \
        app migrate                        before each deploy\n  \
        app migrate --status               the migrations, applied or pending\n  \
        app migrate --dry-run              the SQL that would run\n  \
        ENVIRONMENT=staging app migrate --move-stamp production\n  \
        \u{20}                                  give a copy of production's database to staging\n\n\
        Uses DIRECT_URL if set, else DATABASE_URL; a transaction-mode pooler cannot carry migrations.")]
    Migrate(MigrateArgs),
    /// Check whether this environment works; print what is wrong and what to do
    #[command(after_long_help = "Examples:\n  \
        app check                                        for a person: one line per check, cause and fix below a failure\n  \
        app check --output short                         only problems\n  \
        app migrate && app check --pre                   the release step, before the services run\n  \
        app check --api-url https://api.example.com --expect-commit 3f2a9c1 --wait 300\n                                                   \
        after a deploy: wait until the expected commit runs everywhere\n  \
        app check --e2e                                  process a small document\n  \
        app check --recall questions.jsonl               also ask these questions, and fail below hit@5=0.9 (--at-least)\n  \
        app check --output junit > check.xml             for CI\n\n\
        Nothing is changed permanently. docs/checks.md lists every cause, and the groups and ids for --only.\n\
        Exit codes: 0 passed (warnings allowed, unless --strict), 1 failed, 2 wrong arguments, 3 not ready within --wait.")]
    Check(CheckArgs),
    /// Run database, API and worker on this machine, without configuration
    #[command(
        args_conflicts_with_subcommands = true,
        after_long_help = "Examples:\n  \
        app dev                            run until Ctrl-C; prints what to type next\n  \
        app dev --once                     start, upload and search the samples, stop\n  \
        app dev --fake-providers           with fakes of the services that charge\n  \
        app dev stop                       stop what another terminal left running\n  \
        app dev reset                      erase its database and files\n\n\
        Its data folder is private to this checkout; APP_DEV_DIR names another one. While it runs,\n\
        `app upload`, `app jobs` and `app search` find it from any folder of the checkout."
    )]
    Dev(DevArgs),
    /// Upload files and watch them become searchable
    Upload(UploadArgs),
    /// List, show, retry or cancel jobs
    Jobs(JobsArgs),
    /// Show a document, or download its markdown or its original
    Documents(DocumentsArgs),
    /// Search your documents
    Search(SearchArgs),
    /// Show what was bought from providers, by day: tokens, pages, cents
    Usage(UsageArgs),
    /// Measure how well search finds what a file of questions says is right
    Eval(EvalArgs),
    /// Create, list and revoke API keys
    #[command(after_long_help = "Examples:\n  \
        app keys create ci --user 6b0f…    prints the key, once\n  \
        app keys list\n  \
        app keys revoke 0192…\n\n\
        Uses DATABASE_URL directly, not the API.")]
    Keys(KeysArgs),
    /// Compare what is stored of documents with their rows: bytes, markdown, passages, vectors
    #[command(after_long_help = "Examples:\n  \
        app verify 6f1d3a52-8c0e-5b7f-a1d4-93e2c6b05f18\n  \
        app verify --all                   every document of every user; one line a finding\n  \
        app verify --all --sample 0        embed nothing again\n  \
        app verify --all --output json     for a script\n\n\
        Reads the originals and the markdown from the object store, so it costs their traffic. Uses DATABASE_URL directly,\n\
        not the API, and changes nothing. docs/errors.md lists what it finds, and what to do.\n\
        Exit codes: 0 everything fits, 1 something does not, 2 wrong arguments.")]
    Verify(VerifyArgs),
    /// Change the embedding model while uploads and searches go on
    Reembed(ReembedArgs),
    /// Print the markdown that the parser makes of a file
    #[command(after_long_help = "Examples:\n  \
        app parse report.pdf               show what search will see\n  \
        app parse report.pdf > report.md\n\n\
        Needs no database. The file is parsed as in a worker: in a child process with the same limits.")]
    Parse(ParseArgs),
    /// Say what files would bring and cost: pages, passages, tokens, cents; nothing is sent
    #[command(after_long_help = "Examples:\n  \
        app estimate report.pdf            by the settings of this environment\n  \
        EMBED_PRICES=text-embedding-3-small=2 app estimate --model text-embedding-3-small *.pdf\n  \
        app estimate --json *.pdf          for a script\n\n\
        Needs no database, no server and no network: the files are read and cut here, as in a worker. What you have\n\
        already is not known here, and would cost nothing again. Without a price the cost is unknown.\n\
        Exit codes: 0 every file can be read, 1 one cannot, 2 wrong arguments or configuration.")]
    Estimate(EstimateArgs),
    /// Run fakes of the embedding service and of LlamaParse, for tests; refused in production
    #[command(after_long_help = "Examples:\n  \
        app fake-providers --embeddings-port 9301 --llamaparse-port 9302\n  \
        curl -X PUT localhost:9301/faults -d '{\"next\": [\"busy:2\", \"error\", \"cut\", \"dimension\", \"billed_twice\"]}'\n  \
        curl -X PUT localhost:9302/faults -d '{\"start\": [\"429\", \"500\"], \"fetch\": [\"cut\", \"slow:3000\"]}'\n  \
        curl localhost:9301/billed         what a real service would have charged for\n\n\
        They speak the providers' real protocols on 127.0.0.1, and print the settings with which API and workers use them.")]
    FakeProviders(FakeProvidersArgs),
    /// The child process of the parser; reads its work from stdin
    #[command(name = "parse-child", hide = true)]
    ParseChild,
    /// The child process that draws a page; reads its work from stdin
    #[command(name = "picture-child", hide = true)]
    PictureChild,
    /// The process of the built-in OCR; reads a picture from stdin
    #[command(name = "ocr-child", hide = true)]
    OcrChild,
}

/// `app migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// List every migration and whether it is applied; change nothing
    #[arg(long, conflicts_with = "dry_run")]
    pub status: bool,
    /// Print the SQL that would run; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Take over a database that belongs to the environment FROM, and migrate it; refused if it is not FROM's, or if
    /// FROM's workers still use it
    #[arg(
        long,
        value_name = "FROM",
        value_parser = ["development", "staging", "production"],
        conflicts_with_all = ["status", "dry_run"]
    )]
    pub move_stamp: Option<String>,
}

/// `app check`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CheckArgs {
    /// How to print the findings
    #[arg(long, short, value_enum, default_value_t = CheckOutput::Text, value_name = "FORMAT")]
    pub output: CheckOutput,
    /// Repeat for up to this many seconds while every problem may pass by itself
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u64>,
    /// Treat warnings as failures
    #[arg(long)]
    pub strict: bool,
    /// Also write a zip for a colleague: findings, versions, fingerprints of settings, last problems; no secret, no text
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// With --recall: a measure by both words and meaning, and the least that it may be
    #[arg(long, value_name = "MEASURE=VALUE", requires = "recall", default_value = "hit@5=0.9")]
    pub at_least: Vec<Least>,
    /// What to check.
    #[command(flatten)]
    pub options: CheckOptions,
    /// What to do instead of checking.
    #[command(subcommand)]
    pub action: Option<CheckAction>,
}

/// What `app check` does instead of checking.
#[derive(Debug, Subcommand)]
pub enum CheckAction {
    /// Say what a group, a check or a cause means, and what to do
    #[command(after_long_help = "Example:\n  app check explain db.mode/swapped")]
    Explain {
        /// Its id, as the findings show it: database, db.mode, db.mode/swapped
        #[arg(value_name = "ID", value_parser = |id: &str| check::explain(id))]
        explained: String,
    },
}

/// How `app check` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    /// One line per check, with cause and fix below a problem
    Text,
    /// Problems only
    Short,
    /// One JSON object; docs/check-output.schema.json describes it
    Json,
    /// JUnit's XML
    Junit,
}

/// `app dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Start, upload and search the samples, stop; exit 0 if that worked
    #[arg(long)]
    pub once: bool,
    /// Buy vectors and parses from fakes of the providers, which cost nothing and fail on order; a database of its own
    #[arg(long)]
    pub fake_providers: bool,
    /// What to do instead of running.
    #[command(subcommand)]
    pub action: Option<DevAction>,
}

/// `app fake-providers`.
#[derive(Debug, Args)]
pub struct FakeProvidersArgs {
    /// Port of the embedding service; 0: a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub embeddings_port: u16,
    /// Port of LlamaParse; 0: a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub llamaparse_port: u16,
}

/// `app dev …`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum DevAction {
    /// Stop this checkout's `app dev` and its database
    #[command(after_long_help = "Example:\n  app dev stop")]
    Stop,
    /// Erase the data folder of this checkout's `app dev`: documents, jobs, database
    #[command(after_long_help = "Example:\n  app dev reset")]
    Reset,
}

/// `app keys`.
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: KeysAction,
}

/// `app keys …`.
#[derive(Debug, Subcommand)]
pub enum KeysAction {
    /// Create a key and print it, once
    #[command(after_long_help = "Examples:\n  \
        app keys create laptop --user 6b0f9d5e-3f1c-4d6a-9a55-0d3f6c1f2b11\n  \
        app keys create backend --scope write --expires-days 90\n\n\
        Without --user the key acts for many users: each request must name one in X-User-Id. Such a key can delete \
        documents only with --scope admin.")]
    Create {
        /// A name for the list of keys
        name: String,
        /// The user that it acts for
        #[arg(long, value_name = "UUID")]
        user: Option<Uuid>,
        /// What it may do: read (and search), write (also upload, retry and cancel; with --user also delete), or admin
        /// (also delete documents of any user; without --user)
        #[arg(long, default_value_t = Scope::Write)]
        scope: Scope,
        /// Days until it expires; without this it never expires
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
        expires_days: Option<u32>,
    },
    /// List the keys, without their secrets
    #[command(after_long_help = "Example:\n  app keys list")]
    List,
    /// Revoke a key at once
    #[command(after_long_help = "Example:\n  app keys revoke 0192f0c1-7a1e-7c6b-8d8e-2f0a4f2f9f10")]
    Revoke {
        /// Its id, from `app keys list`
        key_id: Uuid,
    },
}

/// `app verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Ids of documents
    #[arg(value_name = "DOCUMENT", required_unless_present = "all")]
    pub documents: Vec<Uuid>,
    /// Every document of every user
    #[arg(long, conflicts_with = "documents")]
    pub all: bool,
    /// How many passages of a document are embedded again and compared; 0: none
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub sample: u16,
    /// How to print the findings
    #[arg(long, short, value_enum, default_value_t = VerifyOutput::Text, value_name = "FORMAT")]
    pub output: VerifyOutput,
}

/// How `app verify` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VerifyOutput {
    /// One line a finding
    Text,
    /// One JSON object
    Json,
}

/// `app parse`.
#[derive(Debug, Args)]
pub struct ParseArgs {
    /// Read every page by OCR, also those with text
    #[arg(long)]
    pub ocr: bool,
    /// Also print, as one line of JSON on stderr, what the file is, how its pages were read and what was left out
    #[arg(long)]
    pub report: bool,
    /// The file
    #[arg(required_unless_present = "kinds")]
    pub file: Option<PathBuf>,
    /// List the kinds of files that can be read; read none
    #[arg(long, conflicts_with = "file")]
    pub kinds: bool,
}

/// `app estimate`.
#[derive(Debug, Args)]
pub struct EstimateArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The embedding service's model; by default EMBED_MODEL, if EMBED_PROVIDER is openai
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// As if uploaded with `ocr`: every page is read by OCR
    #[arg(long)]
    pub ocr: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Parses the process's arguments. For help, version and wrong arguments (exit code 2) it prints and ends the process.
/// `version` is the text after the name in `--version`.
pub fn parse(version: &'static str) -> Cli {
    let matches = Cli::command().version(version).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}
