//! The document, as a client of the API sees it.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    super::super::{
        check::{Context, Problem},
        database::workers::list_workers,
    },
    FAILED, NOT_COMPLETE_IN_TIME, NOT_FOUND_BY_SEARCH, REFUSED, UNREACHABLE,
};
use client::{ApiClient, http::ClientError};
use domain::{Status, hex, printable};
use housekeeping::canaries::CANARY_NAME;
use messages::{DocumentsAccepted, JobView, SearchMode, SearchRequest, SearchResponse, TextRequest};

/// Between two requests for the job.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How the check ended, if without a problem.
#[derive(Debug)]
pub(super) enum Ended {
    /// The document became complete and was found.
    Found { ms: u128 },
    /// INT or TERM arrived.
    Stopped,
}

/// One small document.
pub(super) struct TestDocument<'c> {
    context: &'c Context<'c>,
    api: ApiClient,
    root: String,
    /// A word that no other document contains.
    word: String,
    text: String,
}

impl<'c> TestDocument<'c> {
    pub(super) fn new(context: &'c Context<'_>, root: &str, token: &str) -> Result<Self, Problem> {
        // Letters only, so that every tokenizer takes it as one word.
        let word: String = Uuid::new_v4().as_bytes().iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        let text = format!("# {CANARY_NAME}\n\nThe canary that sings in this shaft is called {word}.\n");
        let api = ApiClient::at(root, token, context.setup.build);
        let api = api.map_err(|error| UNREACHABLE.seen(format!("{root}: {error}")))?;
        Ok(Self { context, api, root: root.to_owned(), word, text })
    }

    /// The hash of the document's bytes, which the API stores unchanged.
    pub(super) fn sha256(&self) -> String {
        hex(Sha256::digest(self.text.as_bytes()))
    }

    /// Uploads, waits, searches. Every answer is awaited, even after INT or TERM, so that everything stored is known.
    pub(super) async fn upload_and_find(&self) -> Result<Ended, Problem> {
        let began = Instant::now();
        let stop = self.context.setup.stop;
        let limit = self.context.config.client.e2e_timeout;
        if stop.is_cancelled() {
            return Ok(Ended::Stopped);
        }
        let (job, document) = self.upload().await?;
        loop {
            if stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            let view: JobView =
                self.api.get(&format!("/jobs/{job}"), &[]).await.map_err(|error| self.problem(&error))?;
            if view.terminal {
                require_complete(&view)?;
                break;
            }
            if began.elapsed() >= limit {
                return Err(self.late(&view, limit).await);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
        if stop.is_cancelled() {
            return Ok(Ended::Stopped);
        }
        self.search(document).await?;
        Ok(Ended::Found { ms: began.elapsed().as_millis() })
    }

    async fn upload(&self) -> Result<(Uuid, Uuid), Problem> {
        let body = TextRequest { title: CANARY_NAME.to_owned(), text: self.text.clone() };
        let accepted = self.api.post("/documents", &body).await.map_err(|error| self.problem(&error))?;
        let DocumentsAccepted { documents } = accepted;
        let file = documents.into_iter().next();
        match file.as_ref().map(|file| (file.job_id, file.document_id, &file.problem)) {
            Some((Some(job), Some(document), None)) => Ok((job, document)),
            Some((_, _, Some(problem))) => Err(self.refused(problem)),
            _ => Err(UNREACHABLE.seen(format!("{}: it accepted the document, but named no job", self.root))),
        }
    }

    async fn search(&self, document: Uuid) -> Result<(), Problem> {
        let query = format!("What is the canary called {}?", self.word);
        let request = SearchRequest { query, limit: Some(5), mode: SearchMode::Hybrid, document_id: Some(document) };
        let found: SearchResponse = match self.api.post("/search", &request).await {
            Ok(found) => found,
            Err(ClientError::Refused { problem, .. }) => return Err(NOT_FOUND_BY_SEARCH.seen(describe(&problem))),
            Err(error) => return Err(self.problem(&error)),
        };
        match found.hits.iter().any(|hit| hit.document_id == document && hit.text.contains(&self.word)) {
            true => Ok(()),
            false => {
                Err(NOT_FOUND_BY_SEARCH.seen(format!("{} hits, and the document is not among them", found.hits.len())))
            }
        }
    }

    /// Deletes the document as its owner. Housekeeping deletes its bytes.
    pub(super) async fn delete(&self) -> Result<(), ClientError> {
        let listed: serde_json::Value = self.api.get("/documents", &[("limit", "50".to_owned())]).await?;
        let sha256 = self.sha256();
        let ours = listed["items"].as_array().and_then(|items| items.iter().find(|item| item["sha256"] == *sha256));
        let Some(id) = ours.and_then(|item| item["document_id"].as_str()) else { return Ok(()) };
        self.api.delete::<serde_json::Value>(&format!("/documents/{id}")).await.map(drop)
    }

    fn problem(&self, error: &ClientError) -> Problem {
        match error {
            ClientError::Refused { problem, .. } => self.refused(problem),
            other => UNREACHABLE.seen(other.to_string()),
        }
    }

    fn refused(&self, problem: &messages::Problem) -> Problem {
        let refused = REFUSED.seen(format!("{}: {}", self.root, describe(problem)));
        if problem.status != 401 {
            return refused;
        }
        refused.fix(
            "The API does not know this key: it uses another database than DATABASE_URL. Set both to the same, or \
             unset DATABASE_URL and set APP_TOKEN.",
        )
    }

    async fn late(&self, view: &JobView, limit: Duration) -> Problem {
        let workers = match list_workers(self.context).await {
            Ok(workers) if workers.is_empty() => "no worker is alive".to_owned(),
            Ok(workers) => format!("{} workers are alive", workers.len()),
            Err(_) => "whether a worker is alive is unknown".to_owned(),
        };
        let error = last_error(view, "code").map(|code| format!(", its last failure {code}")).unwrap_or_default();
        let after = limit.as_secs();
        NOT_COMPLETE_IN_TIME.seen(format!("after {after} s the job is {}{error}; {workers}", progress(view)))
    }
}

fn describe(problem: &messages::Problem) -> String {
    format!("{} {} [{}]", problem.status, printable(&problem.detail), printable(&problem.code))
}

fn require_complete(view: &JobView) -> Result<(), Problem> {
    if view.status == Status::Complete.as_str() {
        return Ok(());
    }
    let code = last_error(view, "code").unwrap_or_else(|| view.state.clone());
    let message = last_error(view, "message").unwrap_or_default();
    Err(FAILED.seen(format!("{}: {message} [{code}]", progress(view))))
}

fn progress(view: &JobView) -> String {
    format!("{} ({})", printable(&view.status), printable(&view.state))
}

fn last_error(view: &JobView, field: &str) -> Option<String> {
    Some(printable(view.last_error.as_ref()?[field].as_str()?).into_owned())
}
