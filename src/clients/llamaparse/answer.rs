//! LlamaParse's answers, read within bounds.

use reqwest::Response;
use serde::Deserialize;

use super::error::{printable, unavailable};
use crate::{
    clients::local_parser::tidy,
    domain::{Code, Failure},
    ports::{RemoteState, RemoteText, page_marker},
};

/// A body; `None`: it is longer than `max_bytes`.
pub(super) async fn read(mut response: Response, max_bytes: u64) -> Result<Option<Vec<u8>>, Failure> {
    let too_long = |bytes: u64| bytes > max_bytes;
    if response.content_length().is_some_and(too_long) {
        return Ok(None);
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|_broken| unavailable("its answer broke off"))? {
        if too_long((body.len() + piece.len()) as u64) {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
}

/// An answer that is not what the API's description says.
pub(super) fn invalid() -> Failure {
    Failure::new(
        Code::RemoteParserAnswerInvalid,
        "LlamaParse answered with something else than its API promises. It will be asked again.",
    )
}

/// A job, at the top of an answer or within it.
#[derive(Debug, Deserialize)]
struct Answer {
    job: Option<Job>,
    id: Option<String>,
    status: Option<String>,
    error_message: Option<String>,
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
    /// Absent in answers that know of no failure.
    #[serde(default = "yes")]
    success: bool,
}

fn yes() -> bool {
    true
}

fn parse(body: Option<Vec<u8>>) -> Result<Answer, Failure> {
    serde_json::from_slice(&body.ok_or_else(invalid)?).map_err(|_malformed| invalid())
}

/// The id of what was made.
pub(super) fn id(body: Option<Vec<u8>>) -> Result<String, Failure> {
    let answer = parse(body)?;
    let id = answer.job.and_then(|job| job.id).or(answer.id).ok_or_else(invalid)?;
    // It becomes part of a URL, and a row's.
    let plain =
        !id.is_empty() && id.len() <= 200 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if plain { Ok(id) } else { Err(invalid()) }
}

/// How the job stands.
///
/// Source: API v2's statuses, and those of v1, which some deployments still give.
pub(super) fn state(body: Option<Vec<u8>>) -> Result<RemoteState, Failure> {
    let Answer { job, status, error_message, .. } = parse(body)?;
    let (status, error) = job.map_or((status, error_message), |job| (job.status, job.error_message));
    let status = status.ok_or_else(invalid)?.to_ascii_uppercase();
    match status.as_str() {
        "PENDING" | "QUEUED" | "RUNNING" | "PROCESSING" => Ok(RemoteState::Waiting),
        "COMPLETED" | "SUCCESS" | "PARTIAL_SUCCESS" => Ok(RemoteState::Ready),
        "FAILED" | "ERROR" | "CANCELLED" | "EXPIRED" => {
            let said = error.map(|error| printable(&error)).filter(|said| !said.is_empty());
            let status = status.to_ascii_lowercase();
            Ok(RemoteState::Failed(said.map_or_else(|| status.clone(), |said| format!("{status}: {said}"))))
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
                tidy::push_paragraphs(&mut text.markdown, &page_marker(page.page_number));
                // A page must not be able to forge the marker of another.
                tidy::push_paragraphs(&mut text.markdown, &tidy::tidy(&markdown));
            }
            None => text.unread.push(page.page_number),
        }
    }
    if text.markdown.len() as u64 > max_bytes { Err(super::too_long(max_bytes)) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ErrorClass;

    fn body(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn a_job_is_found_at_the_top_and_within() {
        assert_eq!(id(body(r#"{"id":"pjb-1","status":"PENDING"}"#)).unwrap(), "pjb-1");
        assert_eq!(id(body(r#"{"job":{"id":"pjb-2"}}"#)).unwrap(), "pjb-2");
        for wrong in ["{}", "[]", "<html>", r#"{"id":""}"#, r#"{"id":"../../files"}"#, r#"{"id":7}"#] {
            assert_eq!(id(body(wrong)).unwrap_err().code, Code::RemoteParserAnswerInvalid, "{wrong}");
        }
        assert_eq!(id(None).unwrap_err().code, Code::RemoteParserAnswerInvalid);
    }

    #[test]
    fn every_status_of_both_versions_is_known_and_an_unknown_one_decides_nothing() {
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
