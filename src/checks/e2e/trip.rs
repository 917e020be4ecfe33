//! The document's way, as a client of the API sees it.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::http::{self, Answer};
use crate::{
    api::{
        BASE_PATH,
        messages::{DocumentsAccepted, JobView, Problem, SearchMode, SearchRequest, SearchResponse, TextRequest},
    },
    canary::CANARY_NAME,
    domain::{Code, Status},
};

/// For one request: the upload waits for the object store, the first search for the model.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at the job.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How it ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Complete, and found.
    Found { ms: u128 },
    /// INT or TERM came.
    Stopped,
}

/// What went wrong, in words that hold no secret.
#[derive(Debug)]
pub(super) enum Wrong {
    Unreachable(String),
    Refused { said: String, is_about_the_key: bool },
    Failed(String),
    Late(String),
    NotFound(String),
}

/// One small document on its way.
pub(super) struct Trip {
    http: reqwest::Client,
    root: String,
    token: String,
    /// A word that no other document has.
    word: String,
    text: String,
    /// From the upload to the end of its job.
    patience: Duration,
}

impl Trip {
    pub(super) fn new(root: &str, token: &str, patience: Duration) -> Self {
        let word = word(Uuid::new_v4());
        let text = format!("# {CANARY_NAME}\n\nThe canary that sings in this shaft is called {word}.\n");
        Self { http: http::client(), root: root.to_owned(), token: token.to_owned(), word, text, patience }
    }

    /// Of the document, which the API stores as it is.
    pub(super) fn sha256(&self) -> String {
        crate::domain::hex(Sha256::digest(self.text.as_bytes()))
    }

    /// Uploads, waits, searches. A request under way is always heard out, so that what it made is known.
    pub(super) async fn run(&self, stop: &CancellationToken) -> Result<Ended, Wrong> {
        let began = Instant::now();
        if stop.is_cancelled() {
            return Ok(Ended::Stopped);
        }
        let (job, document) = self.upload().await?;
        loop {
            if stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            let view: JobView = read(&self.send(Method::GET, &format!("/jobs/{job}"), |r| r).await?)?;
            if view.terminal {
                ended_well(&view)?;
                break;
            }
            if began.elapsed() >= self.patience {
                return Err(Wrong::Late(stands(&view, self.patience)));
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
        if stop.is_cancelled() {
            return Ok(Ended::Stopped);
        }
        self.search(document, self.patience.saturating_sub(began.elapsed())).await?;
        Ok(Ended::Found { ms: began.elapsed().as_millis() })
    }

    async fn upload(&self) -> Result<(Uuid, Uuid), Wrong> {
        let body = TextRequest { title: CANARY_NAME.to_owned(), text: self.text.clone() };
        let answer = self.send(Method::POST, "/documents", |request| request.json(&body)).await?;
        let taken: DocumentsAccepted = read(&answer)?;
        let file = taken.documents.into_iter().next();
        match file.as_ref().map(|file| (file.job_id, file.document_id, &file.problem)) {
            Some((Some(job), Some(document), None)) => Ok((job, document)),
            Some((_, _, Some(problem))) => Err(refused(problem)),
            _ => Err(Wrong::Unreachable("it took the document without saying as what".to_owned())),
        }
    }

    /// The first search of an API loads the model, beside whatever else keeps the machine busy: `left` is for it, if
    /// that is more than any request gets.
    async fn search(&self, document: Uuid, left: Duration) -> Result<(), Wrong> {
        let query = format!("What is the canary called {}?", self.word);
        let request = SearchRequest { query, limit: Some(5), mode: SearchMode::Hybrid, document_id: Some(document) };
        let patient = |builder: RequestBuilder| builder.json(&request).timeout(left.max(ANSWER_WITHIN));
        let answer = self.send(Method::POST, "/search", patient).await?;
        let found: SearchResponse = read(&answer).map_err(|wrong| match wrong {
            Wrong::Refused { said, .. } => Wrong::NotFound(said),
            other => other,
        })?;
        match found.hits.iter().any(|hit| hit.document_id == document && hit.text.contains(&self.word)) {
            true => Ok(()),
            false => Err(Wrong::NotFound(format!("{} hits, and it is not among them", found.hits.len()))),
        }
    }

    /// Deletes what was uploaded, as its owner; its bytes are housekeeping's.
    pub(super) async fn delete(&self) -> Result<(), String> {
        let said = |wrong: Wrong| match wrong {
            Wrong::Unreachable(why) | Wrong::Refused { said: why, .. } => why,
            other => format!("{other:?}"),
        };
        let listed = self.send(Method::GET, "/documents?limit=50", |request| request).await.map_err(said)?;
        let listed: serde_json::Value = read(&listed).map_err(said)?;
        let sha256 = self.sha256();
        let items = listed["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(id) =
            items.iter().find(|item| item["sha256"] == *sha256).and_then(|item| item["document_id"].as_str())
        else {
            return Ok(());
        };
        let answer = self.send(Method::DELETE, &format!("/documents/{id}"), |request| request).await.map_err(said)?;
        read::<serde_json::Value>(&answer).map(drop).map_err(said)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, Wrong> {
        let url = format!("{}{BASE_PATH}{path}", self.root);
        let request = self.http.request(method, url).timeout(ANSWER_WITHIN).bearer_auth(&self.token);
        http::send(with(request)).await.map_err(|trouble| Wrong::Unreachable(trouble.to_string()))
    }
}

/// A good answer's body, or the refusal.
fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Wrong> {
    if !answer.is_success() {
        return Err(match answer.json::<Problem>() {
            Some(problem) => refused(&problem),
            None => Wrong::Unreachable(format!("answered with {}, and not as this API does", answer.status)),
        });
    }
    answer.json().ok_or_else(|| Wrong::Unreachable("answered in a form that this build does not know".to_owned()))
}

fn refused(problem: &Problem) -> Wrong {
    let said = format!("{} {} [{}]", problem.status, tidy(&problem.detail), tidy(&problem.code));
    Wrong::Refused { said, is_about_the_key: problem.known_code() == Some(Code::TokenInvalid) }
}

fn ended_well(view: &JobView) -> Result<(), Wrong> {
    if view.known_status() == Some(Status::Complete) {
        return Ok(());
    }
    let error = |name: &str| view.last_error.as_ref().and_then(|error| error[name].as_str()).map(tidy);
    let code = error("code").unwrap_or_else(|| view.state.clone());
    let message = error("message").unwrap_or_default();
    Err(Wrong::Failed(format!("{} ({}): {message} [{code}]", tidy(&view.status), tidy(&view.state))))
}

/// Where the job stands.
fn stands(view: &JobView, patience: Duration) -> String {
    let error = view.last_error.as_ref().and_then(|error| error["code"].as_str()).map(tidy);
    let error = error.map(|code| format!(", its last failure {code}")).unwrap_or_default();
    let (status, state) = (tidy(&view.status), tidy(&view.state));
    format!("after {} s the job stands at {status}, {state}{error}", patience.as_secs())
}

/// Whoever answers may write anything; a terminal takes no control characters.
fn tidy(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    text.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect()
}

/// Sixteen letters of an id's digits: one word to every tokenizer.
fn word(id: Uuid) -> String {
    id.as_bytes().iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}
