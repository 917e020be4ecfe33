//! Turns files into markdown without the network: each file is parsed in a child process of its own.
//!
//! Uploaded files are hostile. The child is this same executable, started with an empty environment, with limits on
//! memory, CPU time, wall time and output. A child that crashes, hangs or uses too much costs its own document and nothing
//! else. `child` is the child's side, `running` the parent's, and `protocol` what the two say to each other.
//!
//! *Must not know:* the database, jobs, users, storage. It is given a path and limits and gives markdown or a failure.

mod child;
mod detect;
mod fault;
mod html;
mod office;
mod outcome;
mod pdf;
mod protocol;
mod running;
mod text;

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::Semaphore, time};

pub use child::run_child;
use fault::Fault;
use protocol::Request;
use running::Running;

use domain::{
    Failure,
    ports::{ParseLimits, ParsedDocument, Parser},
};

/// The hidden subcommand under which the executable runs [`run_child`].
pub const CHILD_COMMAND: &str = "parse-child";

/// How a [`LocalParser`] runs.
#[derive(Debug, Clone)]
pub struct LocalParserOptions {
    /// The executable whose [`CHILD_COMMAND`] is [`run_child`]; `None`, the default, is the running one.
    pub executable: Option<PathBuf>,
    /// Children at a time, at least 1; further documents wait, outside their time limit. Default: one a core.
    pub max_children: usize,
}

impl Default for LocalParserOptions {
    fn default() -> Self {
        Self { executable: None, max_children: thread::available_parallelism().map_or(1, usize::from) }
    }
}

/// Parses PDF, DOCX, PPTX, XLSX, HTML, Markdown and plain text on this machine, each file in a child process.
#[derive(Debug)]
pub struct LocalParser {
    executable: PathBuf,
    children: Semaphore,
}

impl LocalParser {
    /// A parser with these options; starts nothing yet.
    pub fn new(options: LocalParserOptions) -> Self {
        Self {
            executable: options.executable.unwrap_or_else(running_executable),
            children: Semaphore::new(options.max_children.clamp(1, Semaphore::MAX_PERMITS)),
        }
    }

    async fn parse_in_child(&self, request: &Request) -> Result<ParsedDocument, Fault> {
        let _turn = self.children.acquire().await.map_err(|_closed| Fault::unavailable("closed"))?;
        let mut running = Running::start(&self.executable)?;
        let limits = request.limits;
        match time::timeout(Duration::from_millis(limits.time_ms), running.converse(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                running.kill().await;
                Err(Fault::Timeout { limit_ms: limits.time_ms })
            }
        }
    }
}

#[async_trait]
impl Parser for LocalParser {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn parse(
        &self,
        path: &Path,
        mime: &str,
        filename: &str,
        limits: ParseLimits,
    ) -> Result<ParsedDocument, Failure> {
        // The child's working directory is `/`.
        let path = std::path::absolute(path).map_err(|error| Fault::unavailable(&error.kind().to_string()))?;
        let (mime, filename) = (beginning_of(mime), extension_of(filename));
        let request = Request { path, mime, filename, limits: limits.into() };
        Ok(self.parse_in_child(&request).await?)
    }
}

/// Longest declared type or extension that is looked at, in characters; the request has to stay a short line.
const MAX_HINT_CHARS: usize = 200;

fn beginning_of(mime: &str) -> String {
    mime.chars().take(MAX_HINT_CHARS).collect()
}

/// The end of `filename`, dot included: all of it that says what the file is.
fn extension_of(filename: &str) -> String {
    filename.rfind('.').map_or("", |dot| &filename[dot..]).chars().take(MAX_HINT_CHARS).collect()
}

/// The running executable. On Linux by a link that stays good when a deploy replaces the file on disk: parent and
/// child are always the same build.
fn running_executable() -> PathBuf {
    let link = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && link.exists() {
        link
    } else {
        std::env::current_exe().unwrap_or_else(|_| "app".into())
    }
}
