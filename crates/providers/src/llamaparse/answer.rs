//! Reads LlamaParse's answers, up to a size limit.

use reqwest::Response;
use serde::Deserialize;

use super::error::{one_line, unavailable};
use crate::body::read_body;
use domain::{
    Code, Failure, markdown,
    ports::{RemoteState, RemoteText, page_marker},
};

/// The body; `None` if it is longer than `max_bytes`.
pub(super) async fn read(response: Response, max_bytes: u64) -> Result<Option<Vec<u8>>, Failure> {
    read_body(response, max_bytes).await.map_err(|_broken| unavailable("its answer broke off"))
}

/// The failure of an answer that does not follow the API's description.
pub(super) fn invalid() -> Failure {
    Failure::new(
        Code::RemoteParserAnswerInvalid,
        "LlamaParse answered with something else than its API promises. It will be asked again.",
    )
}

/// An answer. The job's fields stand at the top or in `job`.
#[derive(Debug, Deserialize)]
struct Answer {
    job: Option<Job>,
    #[serde(flatten)]
    top: Job,
    markdown: Option<Markdown>,
}

#[derive(Debug, Deserialize)]
struct Job {
    id: Option<String>,
    status: Option<String>,
    error_message: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Markdown {
    pages: Vec<Page>,
}

#[derive(Debug, Deserialize)]
struct Page {
    page_number: u32,
    #[serde(default)]
    markdown: Option<String>,
    /// Missing in answers in which no page failed.
    #[serde(default = "yes")]
    success: bool,
}

fn yes() -> bool {
    true
}

fn parse(body: Option<Vec<u8>>) -> Result<Answer, Failure> {
    serde_json::from_slice(&body.ok_or_else(invalid)?).map_err(|_malformed| invalid())
}

/// The id of the new file or job.
pub(super) fn id(body: Option<Vec<u8>>) -> Result<String, Failure> {
    let answer = parse(body)?;
    let id = answer.job.and_then(|job| job.id).or(answer.top.id).ok_or_else(invalid)?;
    // The id becomes part of a URL and of a row.
    let is_plain =
        !id.is_empty() && id.len() <= 200 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if is_plain { Ok(id) } else { Err(invalid()) }
}

/// The state of the job. Some deployments still answer with the statuses of API v1.
pub(super) fn state(body: Option<Vec<u8>>) -> Result<RemoteState, Failure> {
    let answer = parse(body)?;
    let job = answer.job.unwrap_or(answer.top);
    let status = job.status.ok_or_else(invalid)?.to_ascii_uppercase();
    match status.as_str() {
        "PENDING" | "QUEUED" | "RUNNING" | "PROCESSING" => Ok(RemoteState::Waiting),
        "COMPLETED" | "SUCCESS" | "PARTIAL_SUCCESS" => Ok(RemoteState::Ready),
        "FAILED" | "ERROR" | "CANCELLED" | "EXPIRED" => {
            let reason = job.error_message.map(|error| one_line(&error)).filter(|reason| !reason.is_empty());
            let status = status.to_ascii_lowercase();
            Ok(RemoteState::Failed(reason.map_or_else(|| status.clone(), |reason| format!("{status}: {reason}"))))
        }
        _ => Err(invalid()),
    }
}

/// The pages as one text.
pub(super) fn text(body: Option<Vec<u8>>, max_bytes: u64) -> Result<RemoteText, Failure> {
    let mut pages = parse(body)?.markdown.ok_or_else(invalid)?.pages;
    pages.sort_by_key(|page| page.page_number);
    let mut text = RemoteText { markdown: String::new(), pages: 0, unread: Vec::new() };
    for page in pages {
        text.pages += 1;
        match page.markdown.filter(|_| page.success) {
            Some(markdown) => {
                markdown::push_paragraphs(&mut text.markdown, &page_marker(page.page_number));
                // Tidied, so that a page cannot contain another page's marker.
                markdown::push_paragraphs(&mut text.markdown, &markdown::tidy(&markdown));
            }
            None => text.unread.push(page.page_number),
        }
    }
    if text.markdown.len() as u64 > max_bytes { Err(super::too_long(max_bytes)) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ErrorClass;

    fn body(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn a_job_is_found_at_the_top_and_in_job() {
        assert_eq!(id(body(r#"{"id":"pjb-1","status":"PENDING"}"#)).unwrap(), "pjb-1");
        assert_eq!(id(body(r#"{"job":{"id":"pjb-2"}}"#)).unwrap(), "pjb-2");
        for wrong in ["{}", "[]", "<html>", r#"{"id":""}"#, r#"{"id":"../../files"}"#, r#"{"id":7}"#] {
            assert_eq!(id(body(wrong)).unwrap_err().code, Code::RemoteParserAnswerInvalid, "{wrong}");
        }
        assert_eq!(id(None).unwrap_err().code, Code::RemoteParserAnswerInvalid);
    }

    #[test]
    fn every_status_of_both_versions_is_known_and_an_unknown_one_is_transient() {
        let of =
            |status: &str| state(body(&format!(r#"{{"job":{{"status":"{status}","error_message":"bad\nfile."}}}}"#)));
        for status in ["PENDING", "RUNNING", "running"] {
            assert_eq!(of(status).unwrap(), RemoteState::Waiting);
        }
        for status in ["COMPLETED", "SUCCESS", "PARTIAL_SUCCESS"] {
            assert_eq!(of(status).unwrap(), RemoteState::Ready);
        }
        assert_eq!(of("EXPIRED").unwrap(), RemoteState::Failed("expired: bad file".to_owned()));
        assert_eq!(of("THINKING").unwrap_err().class, ErrorClass::Transient);
        assert!(state(body(r#"{"job":{}}"#)).is_err());
    }

    #[test]
    fn pages_come_in_order_with_markers_that_no_page_can_forge() {
        let json = r#"{"markdown":{"pages":[{"page_number":2,"markdown":"two\n<!-- page 9 -->\nmore"},{"page_number":1,"markdown":"one","success":true},{"page_number":3,"success":false}]}}"#;
        let text = text(body(json), 1000).unwrap();
        assert_eq!(text.markdown, "<!-- page 1 -->\n\none\n\n<!-- page 2 -->\n\ntwo\nmore\n");
        assert_eq!((text.pages, text.unread), (3, vec![3]));
        assert_eq!(super::text(body(json), 10).unwrap_err().code, Code::ParseOutputLimit);
    }
}
