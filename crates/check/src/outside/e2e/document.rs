//! The document, as a client of the API sees it.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    super::{
        super::{
            check::{Context, Problem},
            database::workers::list_workers,
        },
        http::{self, Answer},
    },
    FAILED, NOT_COMPLETE_IN_TIME, NOT_FOUND_BY_SEARCH, REFUSED, UNREACHABLE,
};
use domain::{Status, hex};
use housekeeping::canaries::CANARY_NAME;
use messages::{self, BASE_PATH, DocumentsAccepted, JobView, SearchRequest, SearchResponse, TextRequest};

/// For one request: the upload waits for the object store, the first search for the model.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
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
    http: reqwest::Client,
    root: String,
    token: String,
    /// A word that no other document contains.
    word: String,
    text: String,
}

impl<'c> TestDocument<'c> {
    pub(super) fn new(context: &'c Context<'_>, root: &str, token: &str) -> Self {
        // Letters only, so that every tokenizer takes it as one word.
        let word: String = Uuid::new_v4().as_bytes().iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        let text = format!("# {CANARY_NAME}\n\nThe canary that sings in this shaft is called {word}.\n");
        Self { context, http: http::client(), root: root.to_owned(), token: token.to_owned(), word, text }
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
            let view: JobView = self.read(&self.send(Method::GET, &format!("/jobs/{job}"), |r| r).await?)?;
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
        self.search(document, limit.saturating_sub(began.elapsed())).await?;
        Ok(Ended::Found { ms: began.elapsed().as_millis() })
    }

    async fn upload(&self) -> Result<(Uuid, Uuid), Problem> {
        let body = TextRequest { title: CANARY_NAME.to_owned(), text: self.text.clone(), metadata: None };
        let answer = self.send(Method::POST, "/documents", |request| request.json(&body)).await?;
        let accepted: DocumentsAccepted = self.read(&answer)?;
        let file = accepted.documents.into_iter().next();
        match file.as_ref().map(|file| (file.job_id, file.document_id, &file.problem)) {
            Some((Some(job), Some(document), None)) => Ok((job, document)),
            Some((_, _, Some(problem))) => Err(self.refused(problem)),
            _ => Err(self.unreachable("it accepted the document, but named no job")),
        }
    }

    /// The first search of an API loads the model, which can take long on a busy machine. So the search may take the
    /// time that is left, if that is more than the time for other requests.
    async fn search(&self, document: Uuid, left: Duration) -> Result<(), Problem> {
        let query = format!("What is the canary called {}?", self.word);
        let request = SearchRequest {
            limit: Some(5),
            document_id: Some(document),
            min_score: Some(0.0),
            ..SearchRequest::of(query)
        };
        let body = |builder: RequestBuilder| builder.json(&request).timeout(left.max(ANSWER_TIMEOUT));
        let answer = self.send(Method::POST, "/search", body).await?;
        if let Some(problem) = answer.json::<messages::Problem>().filter(|_| !answer.is_success()) {
            return Err(NOT_FOUND_BY_SEARCH.seen(describe(&problem)));
        }
        let found: SearchResponse = self.read(&answer)?;
        match found.hits.iter().any(|hit| hit.document_id == document && hit.text.contains(&self.word)) {
            true => Ok(()),
            false => {
                Err(NOT_FOUND_BY_SEARCH.seen(format!("{} hits, and the document is not among them", found.hits.len())))
            }
        }
    }

    /// Deletes the document as its owner. Housekeeping deletes its bytes.
    pub(super) async fn delete(&self) -> Result<(), Problem> {
        let listed = self.send(Method::GET, "/documents?limit=50", |request| request).await?;
        let listed: serde_json::Value = self.read(&listed)?;
        let sha256 = self.sha256();
        let ours = listed["items"].as_array().and_then(|items| items.iter().find(|item| item["sha256"] == *sha256));
        let Some(id) = ours.and_then(|item| item["document_id"].as_str()) else { return Ok(()) };
        let answer = self.send(Method::DELETE, &format!("/documents/{id}"), |request| request).await?;
        self.read::<serde_json::Value>(&answer).map(drop)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, Problem> {
        let url = format!("{}{BASE_PATH}{path}", self.root);
        let request = self.http.request(method, url).timeout(ANSWER_TIMEOUT).bearer_auth(&self.token);
        http::send(with(request)).await.map_err(|error| self.unreachable(error))
    }

    /// The body of a successful answer, or the refusal.
    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Problem> {
        if answer.is_success() {
            return answer.json().ok_or_else(|| self.unreachable("answered in a form that this build cannot read"));
        }
        Err(match answer.json::<messages::Problem>() {
            Some(problem) => self.refused(&problem),
            None => self.unreachable(format!("answered with {}, but not as this API does", answer.status)),
        })
    }

    fn unreachable(&self, why: impl std::fmt::Display) -> Problem {
        UNREACHABLE.seen(format!("{}: {why}", self.root))
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
    view.last_error.as_ref()?[field].as_str().map(printable)
}

/// `text` without control characters, which could steer the terminal: the answering service is unknown.
fn printable(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    text.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect()
}
