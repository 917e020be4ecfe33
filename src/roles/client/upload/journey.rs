//! One file's way: hash, announce, put, follow.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt};
use reqwest::{Body, Method, header};
use tokio::{io::AsyncReadExt, sync::Semaphore};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use super::{
    files,
    progress::{Line, stage_of},
    report::FileReport,
};
use crate::{
    api::messages::{DocumentsAccepted, JobView, UploadAccepted, UploadRequest},
    domain::Code,
    roles::client::http::{ApiClient, ClientError},
};

/// Between two looks at a job: short at first, since a small file is done in a second.
const FIRST_LOOK: Duration = Duration::from_millis(200);
const SLOWEST_LOOK: Duration = Duration::from_secs(2);
/// How long an API that answers nothing useful is waited for, such as over a deploy; the job itself goes on meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the bytes get there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    TwoSteps,
    OneStep,
}

/// What every file's way has in common.
pub(super) struct Journey {
    pub(super) api: ApiClient,
    /// For signed URLs; carries no token.
    pub(super) signed: reqwest::Client,
    pub(super) uploads: Arc<Semaphore>,
    pub(super) way: Way,
    pub(super) wait: bool,
}

/// A file on the disk, measured.
struct Measured<'a> {
    path: &'a Path,
    name: String,
    mime: &'static str,
    bytes_len: u64,
    sha256: String,
}

/// Where the bytes have got to.
enum Handed {
    /// A job has them.
    Over(Uuid),
    /// The same content has a job, or is a document, already.
    Before { job_id: Option<Uuid> },
}

impl Journey {
    /// Takes the file at `path` as far as was asked for.
    pub(super) async fn run(&self, path: &Path, line: Line) -> FileReport {
        let begun = Instant::now();
        let mut report = self.report(path, &line).await;
        report.seconds = begun.elapsed().as_secs_f64();
        line.end(&report);
        report
    }

    async fn report(&self, path: &Path, line: &Line) -> FileReport {
        match self.hand_over(path, line).await {
            Err(Fault::File(why)) => FileReport::failed(path, Code::Unreadable.as_str(), why),
            Err(Fault::Server(error)) => FileReport::failed(path, error.code(), error.to_string()),
            Ok(Handed::Before { job_id: None }) => FileReport::already_there(path),
            Ok(Handed::Over(job_id)) if !self.wait => FileReport::handed_over(path, job_id),
            Ok(Handed::Over(job_id)) => self.follow(path, job_id, line).await.finished(false),
            Ok(Handed::Before { job_id: Some(job_id) }) => self.follow(path, job_id, line).await.finished(true),
        }
    }

    async fn hand_over(&self, path: &Path, line: &Line) -> Result<Handed, Fault> {
        let _permit = self.uploads.acquire().await;
        line.stage("reading");
        let (bytes_len, sha256) = files::measure(path).await.map_err(|error| Fault::File(files::sentence(&error)))?;
        let file = Measured { path, name: files::name_of(path), mime: files::mime_of(path), bytes_len, sha256 };
        line.stage("uploading");
        let handed = match self.way {
            Way::TwoSteps => self.two_steps(&file, line).await,
            Way::OneStep => self.one_step(&file, line).await,
        };
        match handed {
            Ok(job_id) => Ok(Handed::Over(job_id)),
            Err(Fault::Server(ClientError::Refused { problem, .. }))
                if problem.known_code() == Some(Code::DocumentExists) =>
            {
                Ok(Handed::Before { job_id: problem.job_id })
            }
            Err(fault) => Err(fault),
        }
    }

    async fn two_steps(&self, file: &Measured<'_>, line: &Line) -> Result<Uuid, Fault> {
        let request = UploadRequest {
            filename: file.name.clone(),
            bytes_len: file.bytes_len,
            mime: file.mime.to_owned(),
            sha256: file.sha256.clone(),
            ocr: false,
        };
        let accepted: UploadAccepted = self.api.post("/upload", &request).await?;
        let url = self.api.resolve(&accepted.signed_url);
        let server = self.api.naming(&url);
        let put = self
            .signed
            .put(url)
            .header(header::CONTENT_TYPE, file.mime)
            // Object stores refuse a body of unknown length.
            .header(header::CONTENT_LENGTH, file.bytes_len)
            .body(file.body(line).await?);
        let response = put.send().await.map_err(|error| server.broken(&error))?;
        server.accepted(response).await?;
        Ok(accepted.job_id)
    }

    async fn one_step(&self, file: &Measured<'_>, line: &Line) -> Result<Uuid, Fault> {
        let part = reqwest::multipart::Part::stream_with_length(file.body(line).await?, file.bytes_len)
            .file_name(file.name.clone())
            .mime_str(file.mime)
            .map_err(|error| self.api.broken(&error))?;
        let form = reqwest::multipart::Form::new().part("file", part);
        let request = self.api.request(Method::POST, "/documents", &[]).multipart(form);
        let response = request.send().await.map_err(|error| self.api.broken(&error))?;
        let accepted: DocumentsAccepted = self.api.read(response).await?;
        let outcome = accepted.documents.into_iter().next();
        match outcome.map(|outcome| (outcome.problem, outcome.job_id)) {
            Some((Some(problem), _)) => {
                Err(ClientError::Refused { problem: Box::new(problem), hint: String::new() }.into())
            }
            Some((None, Some(job_id))) => Ok(job_id),
            Some((None, None)) | None => Err(self.api.unreadable().into()),
        }
    }

    /// Looks at the job until it has ended.
    async fn follow(&self, path: &Path, job_id: Uuid, line: &Line) -> FileReport {
        let route = format!("/jobs/{job_id}");
        let (mut pause, mut good) = (FIRST_LOOK, Instant::now());
        loop {
            match self.api.get::<JobView>(&route, &[]).await {
                Ok(job) if job.terminal => return FileReport::of_job(path, &job),
                Ok(job) => {
                    good = Instant::now();
                    line.stage(&stage_of(&job));
                    line.at(job.progress.total_pct);
                }
                Err(error) if error.may_pass() && good.elapsed() < PATIENCE => {
                    line.stage(&format!("waiting for the API: {error}"));
                }
                Err(error) => {
                    let mut report = FileReport::failed(path, error.code(), error.to_string());
                    report.job_id = Some(job_id);
                    return report;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(SLOWEST_LOOK);
        }
    }
}

impl Measured<'_> {
    /// The bytes, from the disk as the network takes them; never more than were hashed.
    async fn body(&self, line: &Line) -> Result<Body, Fault> {
        let file = tokio::fs::File::open(self.path).await.map_err(|error| Fault::File(files::sentence(&error)))?;
        let (counter, bytes_len) = (line.clone(), self.bytes_len);
        let mut sent = 0;
        let stream = ReaderStream::with_capacity(file.take(bytes_len), 64 * 1024)
            .inspect_ok(move |bytes| {
                sent += bytes.len() as u64;
                counter.sent(sent, bytes_len);
            })
            .boxed();
        Ok(Body::wrap_stream(stream))
    }
}

/// Why a file did not get there.
enum Fault {
    File(String),
    Server(ClientError),
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        Self::Server(error)
    }
}
