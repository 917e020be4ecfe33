//! The arguments of the commands that talk to a running API.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};
use serde_json::Value;
use uuid::Uuid;

use domain::{State, Status, ports::FileKind};
use messages::{Expand, SearchMode};

const CONNECTION: &str = "Which API: APP_URL and APP_TOKEN (a user's token or an API key; with a key for many users also \
APP_USER_ID).\nWithout them: the `app dev` that runs in this checkout.";

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))
}

/// `app upload`.
#[derive(Debug, Args)]
#[command(after_long_help = format!("Examples:\n  \
    app upload report.pdf                    watch it until it is searchable\n  \
    app upload contracts/ notes.md           every file in a folder, and one more\n  \
    app upload --json *.pdf > outcome.json   for a script\n  \
    app upload --no-wait big.pdf             upload it, do not wait for the rest\n  \
    app upload --dry-run contracts/          what they would cost; nothing is stored\n  \
    app upload --replace 6f1d3a52-… new.pdf  the next version of a document, whose id stays\n\n\
    A file that fails does not stop the others. A document that exists already is no failure.\n\
    Exit codes: 0 every file is searchable (with --no-wait: uploaded), 1 a file failed, 2 wrong arguments.\n\n{CONNECTION}"))]
pub struct UploadArgs {
    /// Files, or folders (the files directly in them, except hidden ones)
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Wait until every file is searchable or has failed (the default)
    #[arg(long, overrides_with = "no_wait")]
    pub wait: bool,
    /// Exit as soon as the files are uploaded
    #[arg(long, overrides_with = "wait")]
    pub no_wait: bool,
    /// Announce each file, then upload it to the URL that the API gives (the default)
    #[arg(long, conflicts_with = "one_step")]
    pub two_step: bool,
    /// Send each file to the API in a single request
    #[arg(long)]
    pub one_step: bool,
    /// Put the one file in the place of this document, which can be searched as it is until the file is
    #[arg(long, value_name = "ID", conflicts_with_all = ["two_step", "one_step"])]
    pub replace: Option<Uuid>,
    /// Have every page read by OCR, also those with text
    #[arg(long)]
    pub ocr: bool,
    /// Send the files, and only say what they would bring and cost; nothing is stored
    #[arg(long, conflicts_with_all = ["replace", "metadata", "no_wait"])]
    pub dry_run: bool,
    /// What to say of the files, to filter by: a JSON object
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub metadata: Option<Value>,
    /// Print the outcome as a JSON array
    #[arg(long)]
    pub json: bool,
}

/// `app jobs`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_long_help = format!("Examples:\n  \
    app jobs                                 the latest jobs\n  \
    app jobs list --state deadletter         jobs that failed for good\n  \
    app jobs show 0192f0c1-…                 one job, and why it failed\n  \
    app jobs retry 0192f0c1-…                from where it stopped\n  \
    app jobs retry --all --dry-run           how many jobs a retry of all failed ones would queue\n\n{CONNECTION}"))]
pub struct JobsArgs {
    /// What to do; `list` by default.
    #[command(subcommand)]
    pub action: Option<JobsAction>,
    /// The arguments of `list`, where no action is named.
    #[command(flatten)]
    pub list: JobsListArgs,
}

/// `app jobs list`.
#[derive(Debug, Clone, Args)]
pub struct JobsListArgs {
    /// Only jobs in this state: queued, working, retryable, done, deadletter, cancelled
    #[arg(long, value_name = "STATE")]
    pub state: Option<State>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `app jobs …`.
#[derive(Debug, Subcommand)]
pub enum JobsAction {
    /// List your jobs, the latest first
    #[command(after_long_help = "Examples:\n  app jobs list\n  app jobs list --state working --json")]
    List(JobsListArgs),
    /// Show everything about one job
    #[command(after_long_help = "Example:\n  app jobs show 0192f0c1-7a1e-7c6b-8d8e-2f0a4f2f9f10")]
    Show(JobArgs),
    /// Show what happened to a job, in order
    #[command(after_long_help = "Example:\n  app jobs events 0192f0c1-7a1e-7c6b-8d8e-2f0a4f2f9f10")]
    Events(JobArgs),
    /// Retry failed or cancelled jobs: one, several, or all that failed
    #[command(after_long_help = "Examples:\n  \
        app jobs retry 0192f0c1-7a1e-7c6b-8d8e-2f0a4f2f9f10\n  \
        app jobs retry 0192f0c1-7a1e-7c6b-8d8e-2f0a4f2f9f10 --from parsed    cut and embed it again\n  \
        app jobs retry 0192f0c1-7a1e-7c6b-8d8e-2f0a4f2f9f10 --type docx      after type_mismatch: read it as this type\n  \
        app jobs retry --all --dry-run                     how many would be queued\n  \
        app jobs retry --all --code storage_unavailable    all that failed with this code\n  \
        app jobs retry --all --status failed_parse         all that failed in this stage\n  \
        app jobs retry --all --reader-before 2             read again what older readers have read\n\n\
        --all leaves out a job whose document has a later job. Of several jobs, those that cannot be retried, or that \
        a retry cannot help, are counted with the reason and do not stop the others.\n\
        Exit codes: 0 (for a single job: it was queued), 1 failed, 2 wrong arguments.")]
    Retry(RetryArgs),
    /// Cancel one or several jobs; a running job stops within a heartbeat
    #[command(
        after_long_help = "Examples:\n  app jobs cancel 0192f0c1-7a1e-7c6b-8d8e-2f0a4f2f9f10\n  app jobs cancel ID ID ID"
    )]
    Cancel(CancelArgs),
}

/// `app jobs retry`.
#[derive(Debug, Clone, Args)]
pub struct RetryArgs {
    /// Ids, or their beginnings, from `app jobs`
    #[arg(value_name = "ID", required_unless_present = "all")]
    pub job_ids: Vec<JobRef>,
    /// Begin from this earlier status instead of the last one reached
    #[arg(long, value_name = "STATUS")]
    pub from: Option<Status>,
    /// What the file of one job is: an extension (pdf, docx, …) or a media type; for a job that failed with type_mismatch
    #[arg(long = "type", value_name = "TYPE", value_parser = media_type, conflicts_with_all = ["from", "all", "dry_run"])]
    pub media_type: Option<String>,
    /// Retry all of your failed jobs
    #[arg(long, conflicts_with = "job_ids")]
    pub all: bool,
    /// With --all: only jobs whose last failure has this code
    #[arg(long, value_name = "CODE", requires = "all", conflicts_with = "job_ids")]
    pub code: Option<String>,
    /// With --all: only jobs at this status: failed_parse, failed_chunking, failed_embedding
    #[arg(long, value_name = "STATUS", requires = "all", conflicts_with = "job_ids")]
    pub status: Option<Status>,
    /// With --all: read complete documents again that readers of a version below this have read (`reader_version` in
    /// `app documents get`); at low priority, and they can be searched as they are until then
    #[arg(
        long,
        value_name = "VERSION",
        requires = "all",
        conflicts_with_all = ["job_ids", "code", "status"],
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub reader_before: Option<u32>,
    /// Change nothing; print how many would be queued
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn media_type(text: &str) -> Result<String, String> {
    match FileKind::from_extension(text.trim_start_matches('.')) {
        Some(kind) => Ok(kind.media_type().to_owned()),
        None if text.contains('/') => Ok(text.to_owned()),
        None => Err("is neither an extension of a file that can be read nor a media type".to_owned()),
    }
}

/// `app jobs cancel`.
#[derive(Debug, Clone, Args)]
pub struct CancelArgs {
    /// Ids, or their beginnings, from `app jobs`
    #[arg(value_name = "ID", required = true)]
    pub job_ids: Vec<JobRef>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A job's id, or as much of its beginning as no other job has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRef(pub String);

impl FromStr for JobRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
        let is_beginning = text.len() <= 36 && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
        if digits >= 4 && is_beginning {
            Ok(Self(text.to_owned()))
        } else {
            Err("is no id of a job, nor at least 4 digits of its beginning; `app jobs` lists the ids".to_owned())
        }
    }
}

/// A command about one job.
#[derive(Debug, Clone, Args)]
pub struct JobArgs {
    /// The job's id, or its beginning, from `app jobs`
    #[arg(value_name = "ID")]
    pub job_id: JobRef,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `app documents`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_long_help = format!("Examples:\n  \
    app documents                            the latest documents, with their ids\n  \
    app documents list --filename policy     those whose name has this part\n  \
    app documents get 6f1d3a52-…             one document, and how it was read\n  \
    app documents get 6f1d3a52-… --markdown  what search sees of it\n  \
    app documents versions 6f1d3a52-…        what it was before\n\n{CONNECTION}"))]
pub struct DocumentsArgs {
    /// What to do; `list` by default.
    #[command(subcommand)]
    pub action: Option<DocumentsAction>,
    /// The arguments of `list`, where no action is named.
    #[command(flatten)]
    pub list: DocumentsListArgs,
}

/// `app documents list`.
#[derive(Debug, Clone, Args)]
pub struct DocumentsListArgs {
    /// Only documents whose file name has this part, in any case
    #[arg(long, value_name = "PART")]
    pub filename: Option<String>,
    /// Only documents for which this filter holds, such as '{"field": "metadata.year", "gte": 2018}'
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub filter: Option<Value>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `app documents …`.
#[derive(Debug, Subcommand)]
pub enum DocumentsAction {
    /// List your documents, the latest first
    #[command(after_long_help = "Examples:\n  app documents list\n  app documents list --filename policy --json")]
    List(DocumentsListArgs),
    /// Show a document, or download its markdown or its original
    #[command(after_long_help = "Examples:\n  \
        app documents get 6f1d3a52-8c0e-5b7f-a1d4-93e2c6b05f18                  as JSON: kind, pages, record, job\n  \
        app documents get 6f1d3a52-8c0e-5b7f-a1d4-93e2c6b05f18 --markdown       the text that was read\n  \
        app documents get 6f1d3a52-8c0e-5b7f-a1d4-93e2c6b05f18 --file -o a.pdf  the bytes that were uploaded")]
    Get(DocumentsGetArgs),
    /// List a document's versions, the newest first
    #[command(after_long_help = "Examples:\n  \
        app documents versions 6f1d3a52-8c0e-5b7f-a1d4-93e2c6b05f18\n  \
        app documents versions 6f1d3a52-8c0e-5b7f-a1d4-93e2c6b05f18 --json\n\n\
        active: it is searched; replacing: a job makes it; previous: it can be restored; failed: it never became complete.")]
    Versions(DocumentsVersionsArgs),
    /// Make an earlier version of a document the active one again
    #[command(
        after_long_help = "Example:\n  app documents restore 6f1d3a52-8c0e-5b7f-a1d4-93e2c6b05f18 1\n\nNothing is read or embedded again."
    )]
    Restore(DocumentsRestoreArgs),
}

/// `app documents versions`.
#[derive(Debug, Args)]
pub struct DocumentsVersionsArgs {
    /// Its id, from `app documents`
    #[arg(value_name = "ID")]
    pub document_id: Uuid,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `app documents restore`.
#[derive(Debug, Args)]
pub struct DocumentsRestoreArgs {
    /// Its id, from `app documents`
    #[arg(value_name = "ID")]
    pub document_id: Uuid,
    /// The number of the version, from `app documents versions`
    #[arg(value_name = "VERSION", value_parser = clap::value_parser!(i32).range(1..))]
    pub version_no: i32,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// `app documents get`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").args(["markdown", "file"]))]
pub struct DocumentsGetArgs {
    /// Its id, from `app documents`
    #[arg(value_name = "ID")]
    pub document_id: Uuid,
    /// Download the markdown that was read
    #[arg(long)]
    pub markdown: bool,
    /// Download the original
    #[arg(long)]
    pub file: bool,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "PATH", requires = "what")]
    pub output: Option<PathBuf>,
}

/// `app usage`.
#[derive(Debug, Args)]
#[command(after_long_help = format!("Examples:\n  \
    app usage                                the last 30 days, by provider and model\n  \
    app usage --from 2026-11-01 --to 2026-11-30\n  \
    app usage --all --json                   every user, for a bill\n\n\
    UNCERTAIN is what may be charged for requests without an answer. It counts as spent.\n\
    --all uses DATABASE_URL directly, not the API.\n\n{CONNECTION}"))]
pub struct UsageArgs {
    /// The first day (UTC); by default 29 days before the last
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub from: Option<String>,
    /// The last day (UTC); by default today
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub to: Option<String>,
    /// Every user's, from the database
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A day as `YYYY-MM-DD`.
fn day(text: &str) -> Result<String, String> {
    let form = time::macros::format_description!("[year]-[month]-[day]");
    let wrong = |_form| "is not a day such as 2026-11-22".to_owned();
    time::Date::parse(text, form).map(|_day| text.to_owned()).map_err(wrong)
}

/// `app eval`.
#[derive(Debug, Args)]
#[command(after_long_help = format!("Examples:\n  \
    app eval questions.jsonl                             every measure of each way of searching\n  \
    app eval questions.jsonl --save before.json          keep the result\n  \
    app eval questions.jsonl --baseline before.json      what a change did\n  \
    app eval questions.jsonl --at-least hit@5=0.9        for CI: exit 1 if it is less\n  \
    app eval --stored                                    what you have judged, in place of a file\n\n\
    A line of the file is a question with what answers it: \
    {{\"question\": \"how high is the tower?\", \"answers\": [{{\"file\": \"lighthouse.md\", \"text\": \"41 metres high\"}}]}}. \
    An answer names a file or a document's id, a page, words of the text, or several of them.\n\
    Exit codes: 0, 1 failed or below --at-least, 2 wrong arguments.\n\n{CONNECTION}"))]
pub struct EvalArgs {
    /// Questions and answers, one JSON object a line
    #[arg(value_name = "QUESTIONS.jsonl", required_unless_present = "stored")]
    pub questions: Option<PathBuf>,
    /// Take the questions whose hits you have judged (`POST /search/judgements`), with right and wrong places
    #[arg(long, conflicts_with = "questions")]
    pub stored: bool,
    /// Measure only this way of searching; each by default
    #[arg(long, value_enum)]
    pub mode: Option<SearchMode>,
    /// Keep the result in this file
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Compare with a result that was kept
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Exit with 1 if this measure, by both words and meaning or as --mode says, is less; for example hit@5=0.9
    #[arg(long, value_name = "MEASURE=VALUE")]
    pub at_least: Vec<Least>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// The least value of a measure of `app eval`.
#[derive(Debug, Clone, PartialEq)]
pub struct Least {
    /// Its name, for example `hit@5`.
    pub measure: String,
    /// 0 to 1.
    pub least: f64,
}

impl FromStr for Least {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = "wanted a measure and a value from 0 to 1, for example hit@5=0.9";
        let (measure, least) = text.split_once('=').ok_or(wanted)?;
        let least = least.parse().ok().filter(|least| (0.0..=1.0).contains(least)).ok_or(wanted)?;
        Ok(Self { measure: measure.trim().to_owned(), least })
    }
}

/// `app search`.
#[derive(Debug, Args)]
#[command(after_long_help = format!("Examples:\n  \
    app search \"what does the policy exclude?\"\n  \
    app search --mode text --limit 20 deductible\n  \
    app search --json \"notice period\" | jq '.hits[0].text'\n\n\
    Exit codes: 0 (also when nothing was found), 1 failed, 2 wrong arguments.\n\n{CONNECTION}"))]
pub struct SearchArgs {
    /// A question, or words to find
    #[arg(required = true, value_name = "QUESTION")]
    pub query: Vec<String>,
    /// At most this many hits
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50))]
    pub limit: u32,
    /// Search by meaning, by words, or both
    #[arg(long, value_enum, default_value_t = SearchMode::Hybrid)]
    pub mode: SearchMode,
    /// Only in this document
    #[arg(long, value_name = "ID")]
    pub document: Option<Uuid>,
    /// Only in documents for which this filter holds, such as '{"field": "metadata.year", "gte": 2018}'
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub filter: Option<Value>,
    /// Only hits with at least this score, 0 to 1
    #[arg(long, value_name = "SCORE")]
    pub min_score: Option<f64>,
    /// Put each hit together with its neighbours
    #[arg(long, value_enum, default_value_t = Expand::None)]
    pub expand: Expand,
    /// At most this many characters of a hit with its neighbours
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(200..=20_000))]
    pub max_chars: Option<u32>,
    /// At most this many hits of one document
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50))]
    pub per_document: Option<u32>,
    /// Leave out hits that are nearly the same as a better one
    #[arg(long)]
    pub distinct: bool,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}
