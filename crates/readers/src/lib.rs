//! Turns files into markdown on this machine. Each file is parsed in a child process of its own.
//!
//! Uploaded files are hostile. The child is this same executable, started with an empty environment and with limits on
//! memory, CPU time, wall time and output. A child that crashes, hangs or exceeds a limit costs only its own document.
//! `child` is the child's side, `running` the parent's, and `protocol` the messages between them.
//!
//! *Must not know:* the database, jobs, users, storage. A reader gets a path and limits and returns markdown or a failure.

mod child;
mod children;
mod detect;
mod mail;
mod ocr_child;
mod outcome;
mod picture;
mod pictures;
mod protocol;
mod running;

use std::{
    ffi::OsStr,
    ops::ControlFlow,
    path::PathBuf,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Semaphore,
    time::{self, Instant},
};

pub use child::run_child;
use children::Children;
pub use ocr_child::run_ocr_child;
use pages::ocr;
pub use pages::ocr::OCR_COMMAND;
pub use pages::pdf::pdf_library_places;
pub use picture::{PICTURE_COMMAND, PageRenderer, run_picture_child};
use protocol::Request;
use running::Running;

use domain::{
    ErrorClass, Failure,
    document::OcrFound,
    ports::{OcrPage, ParseJob, ParseWatch, ParsedDocument, Parser},
};
use ocr_engine::MODEL_FILES;
use reading::fault::{Fault, Named};

/// The hidden subcommand under which the executable runs [`run_child`].
pub const CHILD_COMMAND: &str = "parse-child";

/// The share of the time by the clock that a parser must get of a processor not to count as stalled.
const LEAST_SHARE: u32 = 100;
/// Pages of one document that may break a child before the document does.
const MAX_SKIPPED: usize = 3;
/// The unit in which Linux counts processor time for other processes.
const TICK: Duration = Duration::from_millis(10);

/// How pictures of pages are read.
#[derive(Debug, Clone, Default)]
pub struct OcrOptions {
    /// The places in which Tesseract is looked for. It goes first.
    pub programs: Vec<PathBuf>,
    /// The folders in which the models of the built-in engine are looked for. Both empty: pictures are not read.
    pub models: Vec<PathBuf>,
    /// Whether documents that need an engine wait for a worker that has it, instead of being refused.
    pub required: bool,
    /// Tesseract's folder of language data, if it is not the usual one.
    pub data: Option<PathBuf>,
    /// Tesseract's names of the languages, joined by `+`.
    pub languages: String,
    /// Processor time that one page may take.
    pub page_cpu: Duration,
}

/// The folders that may hold the models of the built-in engine, from folders that `scripts/fetch` and the image fill.
pub fn ocr_model_places(caches: &[PathBuf]) -> Vec<PathBuf> {
    caches.iter().map(|cache| cache.join("ocr")).collect()
}

/// The files that may be Tesseract, from the folders of a `PATH`.
pub fn tesseract_places(path: &OsStr) -> Vec<PathBuf> {
    std::env::split_paths(path).filter(|folder| folder.is_absolute()).map(|folder| folder.join("tesseract")).collect()
}

/// Parses each [kind of file](domain::ports::FileKind) in a child process. There is one child per core at a time, and some
/// more that have had their turn. Other documents wait; the wait does not count for their time limit.
#[derive(Debug)]
pub struct LocalParser {
    executable: PathBuf,
    pdf_libraries: Vec<PathBuf>,
    children: Children,
    ocr: OcrOptions,
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
        Self { executable, pdf_libraries, children, ocr: OcrOptions::default() }
    }

    /// The library that reads PDFs. It is looked for each time, since it may be fetched while the worker runs.
    pub fn pdf_library(&self) -> Option<PathBuf> {
        library_in(&self.pdf_libraries)
    }

    /// The same, with OCR.
    pub fn with_ocr(mut self, ocr: OcrOptions) -> Self {
        self.ocr = ocr;
        self
    }

    /// What reads pictures. It is looked for each time, since it may be installed while the worker runs.
    fn ocr_engine(&self) -> Option<ocr::Engine> {
        let OcrOptions { programs, models, data, required, .. } = &self.ocr;
        let tesseract = |program: PathBuf| ocr::Engine::Tesseract { program, data: data.clone() };
        let has_models = |folder: &&PathBuf| MODEL_FILES.iter().all(|name| folder.join(name).is_file());
        let installed = programs.iter().find(|file| file.is_file()).cloned().map(tesseract);
        installed
            .or_else(|| models.iter().find(has_models).cloned().map(|models| ocr::Engine::Builtin { models }))
            .or_else(|| match programs.is_empty() && !models.is_empty() {
                true => required.then(|| ocr::Engine::Builtin { models: PathBuf::new() }),
                false => required.then(|| tesseract(PathBuf::new())),
            })
    }

    /// What reads pictures, once it was tried; `None`: there is none.
    ///
    /// # Errors
    ///
    /// It lacks languages, or can't be used.
    pub fn check_ocr(&self) -> Result<Option<OcrFound>, Failure> {
        let settings = self.ocr_settings(false);
        ocr::check(&settings)?;
        let unknown = || ocr::unknown_languages(&settings.languages).into_iter().map(str::to_owned).collect();
        match &settings.engine {
            None => Ok(None),
            Some(ocr::Engine::Tesseract { program, .. }) => {
                Ok(Some(OcrFound { at: program.clone(), unknown: Vec::new() }))
            }
            Some(ocr::Engine::Builtin { models }) => match ocr_engine::Engine::open(models) {
                Ok(_) => Ok(Some(OcrFound { at: models.clone(), unknown: unknown() })),
                Err(error) => Err(Fault::OcrModels { why: Named::new(&error.to_string()) }.into()),
            },
        }
    }

    fn ocr_settings(&self, every_page: bool) -> ocr::Settings {
        let engine = self.ocr_engine();
        let OcrOptions { languages, page_cpu, .. } = self.ocr.clone();
        ocr::Settings { engine, languages, page_cpu, every_page }
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

    /// Parses in a child; and again in another one without the page in hand, if that page broke the first one.
    async fn parse_page_by_page(
        &self,
        mut request: Request,
        job: ParseJob<'_>,
    ) -> Result<Option<ParsedDocument>, Fault> {
        let (mut known, mut first) = (job.known, None);
        loop {
            let bytes = known_pages(&known);
            request.known_bytes = bytes.len() as u64;
            let told = Told::new(job.watch);
            let fault = match self.parse_in_child(&request, &bytes, &told).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let (page, read) = told.in_hand();
            match page {
                Some(page) if fault.may_be_of_a_page() && request.skipped.len() < MAX_SKIPPED => {
                    request.skipped.push(page);
                    first.get_or_insert(fault);
                    known.extend(read);
                }
                _ if fault.class() == ErrorClass::Document => return Err(first.unwrap_or(fault)),
                _ => return Err(fault),
            }
        }
    }

    async fn parse_in_child(
        &self,
        request: &Request,
        known: &[u8],
        told: &Told<'_>,
    ) -> Result<Option<ParsedDocument>, Fault> {
        let place = self.children.enter().await?;
        let mut running = Running::start(&self.executable, CHILD_COMMAND)?;
        let (limit, pid) = (request.limits.time, running.id());
        let answer = {
            let mut parse = pin!(running.parse(request, known, told));
            let mut late = pin!(told.late(pid, limit));
            tokio::select! {
                answer = &mut parse => Ok(answer),
                fault = &mut late => Err(fault),
                _long = self.children.make_room(place, pid) => tokio::select! {
                    answer = &mut parse => Ok(answer),
                    fault = &mut late => Err(fault),
                },
            }
        };
        if answer.is_err() {
            running.kill().await;
        }
        answer.unwrap_or_else(Err)
    }
}

#[async_trait]
impl Parser for LocalParser {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn parse(&self, job: ParseJob<'_>) -> Result<Option<ParsedDocument>, Failure> {
        // The child's working directory is `/`.
        let path = std::path::absolute(job.path).map_err(|error| Fault::unavailable(&error.kind().to_string()))?;
        let known = known_pages(&job.known);
        let request = Request {
            path,
            mime: job.mime.chars().take(MAX_HINT_CHARS).collect(),
            filename: extension_of(job.filename),
            pdf_library: self.pdf_library(),
            limits: job.limits,
            ocr: self.ocr_settings(job.ocr),
            known_bytes: known.len() as u64,
            skipped: Vec::new(),
        };
        Ok(self.parse_page_by_page(request, job).await?)
    }
}

/// The pages that OCR has read before, as a JSON list; empty if there are none.
fn known_pages(known: &[OcrPage]) -> Vec<u8> {
    if known.is_empty() {
        return Vec::new();
    }
    let pages: Vec<&[u8]> = known.iter().map(|page| &page.text[..]).collect();
    [b"[", &pages.join(&b","[..])[..], b"]"].concat()
}

/// Passes on what the child tells, and knows when that was.
struct Told<'a> {
    watch: &'a dyn ParseWatch,
    last: Mutex<Last>,
}

struct Last {
    at: Instant,
    /// The page in hand.
    page: Option<u32>,
    /// What OCR has read.
    read: Vec<OcrPage>,
}

#[async_trait]
impl ParseWatch for Told<'_> {
    async fn page(&self, read: u32, pages: u32, ocr: Option<OcrPage>) -> ControlFlow<()> {
        {
            let mut last = self.last();
            last.page = (read < pages).then_some(read + 1);
            last.read.extend(ocr.clone());
        }
        let answer = self.watch.page(read, pages, ocr).await;
        self.last().at = Instant::now();
        answer
    }
}

impl Told<'_> {
    fn new(watch: &dyn ParseWatch) -> Told<'_> {
        Told { watch, last: Mutex::new(Last { at: Instant::now(), page: None, read: Vec::new() }) }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page in hand, and what OCR has read.
    fn in_hand(self) -> (Option<u32>, Vec<OcrPage>) {
        let last = self.last.into_inner().unwrap_or_else(PoisonError::into_inner);
        (last.page, last.read)
    }

    /// Returns once the child has told nothing for `limit`, and got next to no processor time in it; or once it has evaded its
    /// limit of processor time. Within that it may work, however long that takes on a busy machine.
    async fn late(&self, pid: Option<u32>, limit: Duration) -> Fault {
        let mut used = CpuTime::of(pid);
        loop {
            let since = self.last().at;
            time::sleep(limit.saturating_sub(since.elapsed()).max(TICK)).await;
            let now = CpuTime::of(pid);
            if now.own > limit * 2 {
                return Fault::timeout(limit);
            }
            let worked = (now.own + now.waited_for).saturating_sub(used.own + used.waited_for);
            let mut last = self.last();
            if last.at == since {
                if worked < limit / LEAST_SHARE {
                    return Fault::stalled(limit);
                }
                last.at = Instant::now();
            }
            used = now;
        }
    }
}

/// The processor time of a process.
#[derive(Default)]
struct CpuTime {
    own: Duration,
    /// That of the processes which it started and waited for.
    waited_for: Duration,
}

impl CpuTime {
    /// None, where the system has no /proc.
    fn of(pid: Option<u32>) -> Self {
        let stat = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()).unwrap_or_default();
        // The name in brackets may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks: Vec<u32> = fields.split_ascii_whitespace().skip(11).take(4).flat_map(str::parse).collect();
        match ticks[..] {
            [user, system, user_of_others, system_of_others] => {
                Self { own: TICK * (user + system), waited_for: TICK * (user_of_others + system_of_others) }
            }
            _ => Self::default(),
        }
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
