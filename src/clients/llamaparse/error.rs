//! What LlamaParse's refusals, and its silence, deserve.

use std::time::Duration;

use reqwest::{Response, StatusCode, header::RETRY_AFTER};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use super::answer;
use crate::domain::{Code, Failure};

/// Before the next try where a refusal names no time. Source: LlamaParse's FAQ; its limits count by the minute.
const MINUTE: Duration = Duration::from_secs(60);
/// No wait that a refusal asks for is longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// Of a provider's sentence, in characters: it may hold anything.
const MAX_CHARS: usize = 200;

/// A request that came to nothing.
#[derive(Debug)]
pub(super) struct Refused {
    /// What it deserves.
    pub(super) failure: Failure,
    /// Whether the provider may have done what it was asked: nobody heard.
    pub(super) uncertain: bool,
    /// There is no such thing.
    pub(super) not_found: bool,
}

impl Refused {
    fn new(failure: Failure) -> Self {
        Self { failure, uncertain: false, not_found: false }
    }

    fn unheard_of(failure: Failure) -> Self {
        Self { failure, uncertain: true, not_found: false }
    }

    /// The failure where nothing that is asked for can be missing: then it is the address that is wrong.
    pub(super) fn here(self) -> Failure {
        if !self.not_found {
            return self.failure;
        }
        Failure::new(
            Code::RemoteParserAddressWrong,
            "What answers at LLAMAPARSE_API_URL does not know LlamaParse's API (404). Check the address.",
        )
    }
}

/// No answer came.
pub(super) fn unheard(error: &reqwest::Error) -> Refused {
    if error.is_connect() {
        return Refused::new(unavailable("no connection could be made"));
    }
    let why = if error.is_timeout() { "it did not answer in time" } else { "the connection broke" };
    Refused::unheard_of(unavailable(why))
}

/// It answered, and not with success.
pub(super) async fn refused(response: Response) -> Refused {
    let status = response.status();
    let retry_after = retry_after(&response);
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Refused::new(Failure::new(
            Code::RemoteParserKeyRefused,
            format!("LlamaParse refuses LLAMAPARSE_API_KEY ({}). Set one that it takes.", status.as_u16()),
        )),
        StatusCode::PAYMENT_REQUIRED => Refused::new(Failure::new(
            Code::RemoteParserNoCredits,
            "LlamaParse has no credits left for this account. Buy some, then retry the job; all such jobs can be retried at once.",
        )),
        StatusCode::TOO_MANY_REQUESTS => Refused::new(Failure {
            retry_after: Some(retry_after.unwrap_or(MINUTE).min(LONGEST)),
            ..Failure::new(
                Code::RemoteParserBusy,
                "LlamaParse takes no more requests just now. It will be asked again when it says.",
            )
        }),
        StatusCode::NOT_FOUND => {
            Refused { not_found: true, ..Refused::new(unavailable("it knows nothing at this address (404)")) }
        }
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => {
            let said = answer::read(response, super::SHORT_ANSWER).await.ok().flatten();
            let said = said.map_or_else(String::new, |body| detail(&body));
            let status = status.as_u16();
            Refused::new(Failure::new(
                Code::RemoteParserRefused,
                format!(
                    "LlamaParse does not take this document ({status}{said}). Save it anew, or parse it elsewhere."
                ),
            ))
        }
        other => Refused {
            uncertain: other.is_server_error(),
            ..Refused::new(Failure {
                retry_after: retry_after.map(|wait| wait.min(LONGEST)),
                ..unavailable(&format!("it answered with {}", other.as_u16()))
            })
        },
    }
}

pub(super) fn unavailable(why: &str) -> Failure {
    Failure::new(
        Code::RemoteParserUnavailable,
        format!("LlamaParse could not be asked: {why}. It will be asked again."),
    )
}

fn retry_after(response: &Response) -> Option<Duration> {
    wait_until(response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim(), OffsetDateTime::now_utc())
}

/// The header's two forms: seconds, or a date. Source: RFC 9110, 10.2.3.
fn wait_until(retry_after: &str, now: OffsetDateTime) -> Option<Duration> {
    if let Ok(seconds) = retry_after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(retry_after, &Rfc2822).ok()?;
    Some((date - now).try_into().unwrap_or_default())
}

/// What FastAPI says in `detail`: a sentence, or a list of faults, of which only the sentences are taken: they also repeat
/// what they were sent.
fn detail(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = match &body["detail"] {
        Value::String(text) => printable(text),
        Value::Array(faults) => {
            printable(&faults.iter().filter_map(|f| f["msg"].as_str()).collect::<Vec<_>>().join("; "))
        }
        _ => String::new(),
    };
    if said.is_empty() { said } else { format!(": {said}") }
}

/// A provider's words as one short line.
pub(super) fn printable(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CHARS).collect();
    line.trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_words_are_one_short_line() {
        let hostile = format!("bad\n\u{1b}[31m{}", "x".repeat(500));
        let line = printable(&hostile);
        assert!(line.chars().count() <= MAX_CHARS && !line.chars().any(char::is_control), "{line:?}");
    }

    #[test]
    fn a_provider_names_its_wait_in_seconds_or_as_a_date() {
        let now = OffsetDateTime::from_unix_timestamp(784_111_777).unwrap();
        let wait = |header| wait_until(header, now).map(|wait| wait.as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:51:37 GMT"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:07 GMT"), Some(0), "past");
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }

    #[test]
    fn of_a_list_of_faults_only_the_sentences_are_taken() {
        let body =
            br#"{"detail":[{"loc":["body","tier"],"msg":"Input should be fast","input":"secret"},{"msg":"Too long"}]}"#;
        assert_eq!(detail(body), ": Input should be fast; Too long");
        assert_eq!(detail(br#"{"detail":"Unsupported."}"#), ": Unsupported");
        assert_eq!(detail(b"<html>"), "");
    }
}
