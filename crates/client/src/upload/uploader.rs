//! Uploads one file: measures it, sends it, and follows its job.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt};
use reqwest::{Body, Method, StatusCode, header};
use serde_json::Value;
use tokio::{io::AsyncReadExt, sync::Semaphore};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use super::{
    files,
    progress::{FileProgress, stage_of},
    report::FileReport,
};
use crate::http::{ApiClient, ClientError};
use domain::Code;
use messages::{DocumentsAccepted, JobView, ReplacementAccepted, UploadAccepted, UploadRequest};

/// The first pause between two polls of a job. Short, because a small file is done in a second.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// How long the API may fail, for example during a deploy, before the client gives up. The job continues meanwhile.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// Uploads files, all in the same manner.
pub(super) struct Uploader {
    pub(super) api: ApiClient,
    /// For signed URLs; sends no token.
    pub(super) signed: reqwest::Client,
    /// One permit for each file that is being sent.
    pub(super) uploads: Semaphore,
    /// Whether a file is sent in one request, without being announced first.
    pub(super) one_step: bool,
    /// The document in whose place the file is put.
    pub(super) replace: Option<Uuid>,
    /// Whether every page is to be read by OCR.
    pub(super) ocr: bool,
    pub(super) metadata: Option<Value>,
    /// Whether to follow the job until it ends.
    pub(super) wait: bool,
}

/// A file and what the API must know about it.
struct Measured<'a> {
    path: &'a Path,
    name: String,
    mime: &'static str,
    bytes_len: u64,
    sha256: String,
}

enum Uploaded {
    /// The file has a new job.
    New { job_id: Uuid },
    /// The same content was uploaded before; its job may be deleted already.
    Existing { job_id: Option<Uuid> },
}

impl Uploader {
    /// Uploads the file at `path` and follows its job if asked to.
    pub(super) async fn run(&self, path: &Path, progress: FileProgress) -> FileReport {
        let began = Instant::now();
        let mut report = self.upload_and_follow(path, &progress).await;
        report.seconds = began.elapsed().as_secs_f64();
        progress.end(&report);
        report
    }

    async fn upload_and_follow(&self, path: &Path, progress: &FileProgress) -> FileReport {
        match self.upload(path, progress).await {
            Err(error) => FileReport::failed(path, error.code(), error.to_string()),
            Ok(Uploaded::Existing { job_id: None }) => FileReport::uploaded(path, "already there", None),
            Ok(Uploaded::Existing { job_id: Some(job_id) }) => {
                self.follow(path, job_id, progress).await.of_existing_document()
            }
            Ok(Uploaded::New { job_id }) if self.wait => self.follow(path, job_id, progress).await,
            Ok(Uploaded::New { job_id }) => FileReport::uploaded(path, "handed over", Some(job_id)),
        }
    }

    async fn upload(&self, path: &Path, progress: &FileProgress) -> Result<Uploaded, ClientError> {
        let _permit = self.uploads.acquire().await;
        progress.set_stage("reading");
        let (bytes_len, sha256) = files::measure(path).await.map_err(|error| files::unreadable(&error))?;
        let file = Measured { path, name: files::name_of(path), mime: files::media_type(path), bytes_len, sha256 };
        progress.set_stage("uploading");
        let sent = if let Some(document) = self.replace {
            self.send_replacement(document, &file, progress).await
        } else if self.one_step {
            self.send_in_one_step(&file, progress).await
        } else {
            self.send_in_two_steps(&file, progress).await
        };
        match sent {
            Ok(job_id) => Ok(Uploaded::New { job_id }),
            Err(ClientError::Refused { problem, .. }) if self.is_there_already(problem.known_code()) => {
                Ok(Uploaded::Existing { job_id: problem.job_id })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the refusal says that nothing need be done.
    fn is_there_already(&self, code: Option<Code>) -> bool {
        // In the place of a document there may be no other one.
        let wanted = if self.replace.is_some() { Code::VersionActive } else { Code::DocumentExists };
        code == Some(wanted)
    }

    async fn send_in_two_steps(&self, file: &Measured<'_>, progress: &FileProgress) -> Result<Uuid, ClientError> {
        let request = UploadRequest {
            filename: file.name.clone(),
            bytes_len: file.bytes_len,
            mime: file.mime.to_owned(),
            sha256: file.sha256.clone(),
            ocr: self.ocr,
            metadata: self.metadata.clone(),
        };
        let (status, accepted): (_, UploadAccepted) = self.api.post_for_status("/upload", &request).await?;
        if accepted.stored {
            progress.set_stage("taking over the bytes of the upload that failed for its type");
            return Ok(accepted.job_id);
        }
        if status == StatusCode::OK {
            progress.set_stage("an interrupted upload of this file was waiting for the bytes; sending them");
        }
        let url = self.api.resolve(&accepted.signed_url);
        let server = self.api.with_errors_about(&url);
        let put = self
            .signed
            .put(url)
            .header(header::CONTENT_TYPE, file.mime)
            // Object stores refuse a body of unknown length.
            .header(header::CONTENT_LENGTH, file.bytes_len)
            .body(file.body(progress).await?);
        let response = put.send().await.map_err(|error| server.transport_error(&error))?;
        server.check_status(response).await?;
        Ok(accepted.job_id)
    }

    /// The file as a form, with what was asked for it.
    async fn form(
        &self,
        file: &Measured<'_>,
        progress: &FileProgress,
    ) -> Result<reqwest::multipart::Form, ClientError> {
        let part = reqwest::multipart::Part::stream_with_length(file.body(progress).await?, file.bytes_len)
            .file_name(file.name.clone())
            .mime_str(file.mime)
            .map_err(|error| self.api.transport_error(&error))?;
        let mut form = reqwest::multipart::Form::new().text("ocr", self.ocr.to_string());
        if let Some(metadata) = &self.metadata {
            form = form.text("metadata", metadata.to_string());
        }
        Ok(form.part("file", part))
    }

    async fn send_replacement(
        &self,
        document: Uuid,
        file: &Measured<'_>,
        progress: &FileProgress,
    ) -> Result<Uuid, ClientError> {
        let form = self.form(file, progress).await?;
        let request = self.api.request(Method::PUT, &format!("/documents/{document}"), &[]).multipart(form);
        let response = request.send().await.map_err(|error| self.api.transport_error(&error))?;
        let accepted: ReplacementAccepted = self.api.read(response).await?;
        Ok(accepted.job_id)
    }

    async fn send_in_one_step(&self, file: &Measured<'_>, progress: &FileProgress) -> Result<Uuid, ClientError> {
        let form = self.form(file, progress).await?;
        let request = self.api.request(Method::POST, "/documents", &[]).multipart(form);
        let response = request.send().await.map_err(|error| self.api.transport_error(&error))?;
        let accepted: DocumentsAccepted = self.api.read(response).await?;
        let outcome = accepted.documents.into_iter().next();
        match outcome.map(|outcome| (outcome.problem, outcome.job_id)) {
            Some((Some(problem), _)) => Err(ClientError::Refused { problem: Box::new(problem), hint: String::new() }),
            Some((None, Some(job_id))) => Ok(job_id),
            Some((None, None)) | None => Err(self.api.unreadable()),
        }
    }

    /// Polls the job until it ends.
    async fn follow(&self, path: &Path, job_id: Uuid, progress: &FileProgress) -> FileReport {
        let route = format!("/jobs/{job_id}");
        let mut pause = FIRST_PAUSE;
        let mut last_answer = Instant::now();
        loop {
            match self.api.get::<JobView>(&route, &[]).await {
                Ok(job) if job.terminal => return FileReport::of_job(path, &job),
                Ok(job) => {
                    last_answer = Instant::now();
                    progress.set_stage(&stage_of(&job));
                    progress.set_percent(job.progress.total_pct);
                }
                Err(error) if error.is_retryable() && last_answer.elapsed() < GIVE_UP_AFTER => {
                    progress.set_stage(&format!("waiting for the API: {error}"));
                }
                Err(error) => {
                    let mut report = FileReport::failed(path, error.code(), error.to_string());
                    report.job_id = Some(job_id);
                    return report;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(MAX_PAUSE);
        }
    }
}

impl Measured<'_> {
    /// The bytes as a stream from the disk; never more than were hashed.
    async fn body(&self, progress: &FileProgress) -> Result<Body, ClientError> {
        let file = tokio::fs::File::open(self.path).await.map_err(|error| files::unreadable(&error))?;
        let progress = progress.clone();
        let bytes_len = self.bytes_len;
        let mut sent = 0;
        let stream = ReaderStream::with_capacity(file.take(bytes_len), 64 * 1024)
            .inspect_ok(move |bytes| {
                sent += bytes.len() as u64;
                progress.set_sent(sent, bytes_len);
            })
            .boxed();
        Ok(Body::wrap_stream(stream))
    }
}
