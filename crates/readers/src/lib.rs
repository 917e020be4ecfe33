//! Turns files into markdown on this machine. Each file is parsed in a child process of its own.
//!
//! Uploaded files are hostile. The child is this same executable, started with an empty environment and with limits on
//! memory, CPU time, wall time and output. A child that crashes, hangs or exceeds a limit costs only its own document.
//! `child` is the child's side, `running` the parent's, and `protocol` the messages between them.
//!
//! *Must not know:* the database, jobs, users, storage. A reader gets a path and limits and returns markdown or a failure.

#[allow(dead_code, reason = "OCR reads grey pictures")]
mod bitmap;
mod building;
mod child;
mod children;
mod csv;
mod detect;
mod epub;
mod fault;
mod html;
mod mail;
mod markdown;
mod ooxml;
mod open_document;
mod outcome;
mod package;
mod pdf;
mod picture;
mod protocol;
mod reading;
mod render;
mod rtf;
mod running;
mod sheets;
mod slides;
#[cfg(test)]
mod testing;
mod text;
mod word;
mod xml;

use std::{
    path::{Path, PathBuf},
    pin::pin,
    thread,
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::Semaphore, time};

pub use child::run_child;
use children::Children;
use fault::Fault;
pub use pdf::pdf_library_places;
pub use picture::{PICTURE_COMMAND, PageRenderer, run_picture_child};
use protocol::Request;
use running::Running;

use domain::{
    Failure,
    ports::{ParseLimits, ParsedDocument, Parser},
};

/// The hidden subcommand under which the executable runs [`run_child`].
pub const CHILD_COMMAND: &str = "parse-child";

/// A child that competes for the processor may take this many times its limit of time. Its limit of processor time stays.
const LONG_TIMES: u32 = 4;

/// Parses each [kind of file](domain::ports::FileKind) in a child process. There is one child per core at a time, and some
/// more that have had their turn. Other documents wait; the wait does not count for their time limit.
#[derive(Debug)]
pub struct LocalParser {
    executable: PathBuf,
    pdf_libraries: Vec<PathBuf>,
    children: Children,
}

impl LocalParser {
    /// A parser whose children run this same executable.
    pub fn new(pdf_libraries: Vec<PathBuf>) -> Self {
        Self::running(running_executable(), pdf_libraries)
    }

    /// A parser whose children run `executable`, the [`CHILD_COMMAND`] of which is [`run_child`]. It starts no process yet.
    /// The first of `pdf_libraries` that is a file reads PDFs, as [`pdf_library_places`] lists them.
    pub fn running(executable: PathBuf, pdf_libraries: Vec<PathBuf>) -> Self {
        let places = Semaphore::new(Self::places());
        let children = Children { places, long: Semaphore::new(0), turn: Duration::ZERO };
        Self { executable, pdf_libraries, children }
    }

    /// The library that reads PDFs. It is looked for each time, since it may be fetched while the worker runs.
    pub fn pdf_library(&self) -> Option<PathBuf> {
        library_in(&self.pdf_libraries)
    }

    /// How many children have their turn at a time: one a core, of those that the container's CPU limit (cgroup) leaves.
    pub fn places() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    /// The same, but a child that has run for `turn` makes room for another; up to `long` of these run at a time. Zero: none
    /// does.
    pub fn with_turns(mut self, turn: Duration, long: usize) -> Self {
        self.children = Children { long: Semaphore::new(long), turn, ..self.children };
        self
    }

    async fn parse_in_child(&self, request: &Request) -> Result<ParsedDocument, Fault> {
        let place = self.children.enter().await?;
        let mut running = Running::start(&self.executable, CHILD_COMMAND)?;
        let (limit, pid) = (request.limits.time, running.id());
        let answer = {
            let mut parse = pin!(running.parse(request));
            tokio::select! {
                answer = time::timeout(limit, &mut parse) => answer,
                _long = self.children.make_room(place, pid) => time::timeout(limit * LONG_TIMES, &mut parse).await,
            }
        };
        if answer.is_err() {
            running.kill().await;
        }
        answer.unwrap_or_else(|_late| Err(Fault::timeout(limit)))
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
        let mime = mime.chars().take(MAX_HINT_CHARS).collect();
        let request = Request { path, mime, filename: extension_of(filename), pdf_library: self.pdf_library(), limits };
        Ok(self.parse_in_child(&request).await?)
    }
}

/// The first of `places` that is a file.
fn library_in(places: &[PathBuf]) -> Option<PathBuf> {
    let file = places.iter().find(|file| file.is_file())?;
    std::path::absolute(file).ok()
}

/// The longest part of a declared type or extension that the child gets, in characters: a request is one short line.
const MAX_HINT_CHARS: usize = 200;

/// The end of `filename` from the last dot on.
fn extension_of(filename: &str) -> String {
    filename.rfind('.').map_or("", |dot| &filename[dot..]).chars().take(MAX_HINT_CHARS).collect()
}

/// The running executable. On Linux a link that stays valid when a deploy replaces the file, so parent and child are
/// always the same build.
fn running_executable() -> PathBuf {
    let link = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && link.exists() {
        link
    } else {
        std::env::current_exe().unwrap_or_else(|_| "app".into())
    }
}
