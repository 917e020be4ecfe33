//! The document, as a client of the API sees it.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::super::{
    super::{
        check::{Cause, Context, Problem, causes},
        database::environment::ready_db,
    },
    http::{self, Answer},
};
use domain::Status;
use housekeeping::canaries::CANARY_NAME;
use messages::{self, BASE_PATH, DocumentsAccepted, JobView, SearchMode, SearchRequest, SearchResponse, TextRequest};
use store::workers::list_live_workers;

causes! { DOCUMENT_CAUSES:
    NOT_CONFIGURED = error("not_configured",
        "It is not known where the API is, or as which user to log in.",
        "Let DATABASE_URL and STORAGE_URL be the API's, for a key of the check's own; or set APP_TOKEN.");
    UNREACHABLE = error("unreachable",
        "The API does not answer, or the connection breaks.",
        "See the cause that api.reach names, with --api-url.").may_pass();
    REFUSED = error("refused",
        "The API does not take a document.",
        "Do what the answer says; docs/errors.md has its code.");
    FAILED = error("failed",
        "The document was taken, and its job failed.",
        "Do what the message says; docs/errors.md has its code, the worker's log the rest.");
    NOT_COMPLETE_IN_TIME = error("not_complete_in_time",
        "The document was taken, and its job did not end: no worker is alive, or they are busy or stuck.",
        "Start a worker, or look at the log of the ones there are; `app jobs` shows what they are busy with.").may_pass();
    NOT_FOUND_BY_SEARCH = error("not_found_by_search",
        "The document is complete, and a search for it does not find it.",
        "See the API's log; ext.embed and db.schema name what search needs.");
    NOT_REMOVED = warning("not_removed",
        "What the check has put in could not be removed whole; a worker's housekeeping, or the next check, does it.",
        "Nothing, where a worker runs; else run `app check` again with the API's own STORAGE_URL in ten minutes.");
}

/// For one request: the upload waits for the object store, the first search for the model.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Between two requests for the job.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// How it ended, if not badly.
#[derive(Debug)]
pub(super) enum Ended {
    /// Complete, and found.
    Found { ms: u128 },
    /// INT or TERM came.
    Stopped,
}

/// One small document.
pub(super) struct TestDocument<'c> {
    context: &'c Context<'c>,
    http: reqwest::Client,
    root: String,
    token: String,
    /// A word that no other document has.
    word: String,
    text: String,
}

impl<'c> TestDocument<'c> {
    pub(super) fn new(context: &'c Context<'_>, root: &str, token: &str) -> Self {
        // Sixteen letters: one word to every tokenizer.
        let word: String = Uuid::new_v4().as_bytes().iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        let text = format!("# {CANARY_NAME}\n\nThe canary that sings in this shaft is called {word}.\n");
        Self { context, http: http::client(), root: root.to_owned(), token: token.to_owned(), word, text }
    }

    /// Of the document, which the API stores as it is.
    pub(super) fn sha256(&self) -> String {
        Sha256::digest(self.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Uploads, waits, searches. The answer to a request is always awaited, so that what it made is known.
    pub(super) async fn upload_and_find(&self) -> Result<Ended, Problem> {
        let (began, stop) = (Instant::now(), self.context.setup.stop);
        let patience = self.context.config.client.e2e_timeout;
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
                ended_well(&view)?;
                break;
            }
            if began.elapsed() >= patience {
                return Err(self.late(&view, patience).await);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
        if stop.is_cancelled() {
            return Ok(Ended::Stopped);
        }
        self.search(document, patience.saturating_sub(began.elapsed())).await?;
        Ok(Ended::Found { ms: began.elapsed().as_millis() })
    }

    async fn upload(&self) -> Result<(Uuid, Uuid), Problem> {
        let body = TextRequest { title: CANARY_NAME.to_owned(), text: self.text.clone() };
        let answer = self.send(Method::POST, "/documents", |request| request.json(&body)).await?;
        let taken: DocumentsAccepted = self.read(&answer)?;
        let file = taken.documents.into_iter().next();
        match file.as_ref().map(|file| (file.job_id, file.document_id, &file.problem)) {
            Some((Some(job), Some(document), None)) => Ok((job, document)),
            Some((_, _, Some(problem))) => Err(self.refused(problem)),
            _ => Err(self.unreachable("it took the document without saying as what")),
        }
    }

    /// The first search of an API loads the model, beside whatever else keeps the machine busy: `left` is for it, if
    /// that is more than any request gets.
    async fn search(&self, document: Uuid, left: Duration) -> Result<(), Problem> {
        let query = format!("What is the canary called {}?", self.word);
        let request = SearchRequest { query, limit: Some(5), mode: SearchMode::Hybrid, document_id: Some(document) };
        let patient = |builder: RequestBuilder| builder.json(&request).timeout(left.max(ANSWER_WITHIN));
        let answer = self.send(Method::POST, "/search", patient).await?;
        if let Some(problem) = answer.json::<messages::Problem>().filter(|_| !answer.is_success()) {
            return Err(NOT_FOUND_BY_SEARCH.seen(said(&problem)));
        }
        let found: SearchResponse = self.read(&answer)?;
        match found.hits.iter().any(|hit| hit.document_id == document && hit.text.contains(&self.word)) {
            true => Ok(()),
            false => Err(NOT_FOUND_BY_SEARCH.seen(format!("{} hits, and it is not among them", found.hits.len()))),
        }
    }

    /// Deletes what was uploaded, as its owner; its bytes are housekeeping's.
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
        let request = self.http.request(method, url).timeout(ANSWER_WITHIN).bearer_auth(&self.token);
        http::send(with(request)).await.map_err(|trouble| self.unreachable(trouble))
    }

    /// A good answer's body, or the refusal.
    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Problem> {
        if answer.is_success() {
            return answer.json().ok_or_else(|| self.unreachable("answered in a form that this build does not know"));
        }
        Err(match answer.json::<messages::Problem>() {
            Some(problem) => self.refused(&problem),
            None => self.unreachable(format!("answered with {}, and not as this API does", answer.status)),
        })
    }

    fn unreachable(&self, why: impl std::fmt::Display) -> Problem {
        UNREACHABLE.seen(format!("{}: {why}", self.root))
    }

    fn refused(&self, problem: &messages::Problem) -> Problem {
        let refused = REFUSED.seen(format!("{}: {}", self.root, said(problem)));
        if problem.status != 401 {
            return refused;
        }
        refused.fix(
            "The API does not know this key: it uses another database than DATABASE_URL. Give both the same, or \
             unset DATABASE_URL and set APP_TOKEN.",
        )
    }

    async fn late(&self, view: &JobView, patience: Duration) -> Problem {
        let workers = match self.workers_alive().await {
            Ok(0) => "no worker is alive".to_owned(),
            Ok(n) => format!("{n} workers are alive"),
            Err(_) => "whether a worker is alive is not known here".to_owned(),
        };
        let error = last_error(view, "code").map(|code| format!(", its last failure {code}")).unwrap_or_default();
        let (status, state) = (printable(&view.status), printable(&view.state));
        let after = patience.as_secs();
        NOT_COMPLETE_IN_TIME.seen(format!("after {after} s the job stands at {status}, {state}{error}; {workers}"))
    }

    async fn workers_alive(&self) -> Result<usize, Problem> {
        Ok(list_live_workers(&ready_db(self.context)?.get().await?).await?.len())
    }
}

fn said(problem: &messages::Problem) -> String {
    format!("{} {} [{}]", problem.status, printable(&problem.detail), printable(&problem.code))
}

fn ended_well(view: &JobView) -> Result<(), Problem> {
    if view.status == Status::Complete.as_str() {
        return Ok(());
    }
    let code = last_error(view, "code").unwrap_or_else(|| view.state.clone());
    let message = last_error(view, "message").unwrap_or_default();
    let (status, state) = (printable(&view.status), printable(&view.state));
    Err(FAILED.seen(format!("{status} ({state}): {message} [{code}]")))
}

fn last_error(view: &JobView, field: &str) -> Option<String> {
    view.last_error.as_ref()?[field].as_str().map(printable)
}

/// The answer may be any service's, and a terminal takes no control characters.
fn printable(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    text.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect()
}
