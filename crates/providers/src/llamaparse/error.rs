//! Turns LlamaParse's refusals and failed connections into failures.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::answer;
use crate::wait::{MAX_WAIT, retry_after};
use domain::{Code, Failure};

/// The wait after a refusal that names none; LlamaParse's limits count by the minute.
const MINUTE: Duration = Duration::from_secs(60);
/// The most characters of a provider's sentence.
const MAX_CHARS: usize = 200;

/// A request without success.
#[derive(Debug)]
pub(super) struct RequestFailed {
    /// What went wrong.
    pub(super) failure: Failure,
    /// Whether the provider may have carried out the request all the same.
    pub(super) uncertain: bool,
    /// Whether the answer was 404.
    pub(super) not_found: bool,
}

impl RequestFailed {
    /// The failure of a request that names no file or job. There a 404 means that the address is wrong.
    pub(super) fn of_address(self) -> Failure {
        if !self.not_found {
            return self.failure;
        }
        Failure::new(
            Code::RemoteParserAddressWrong,
            "What answers at LLAMAPARSE_API_URL does not know LlamaParse's API (404). Check the address.",
        )
    }
}

/// There was no answer.
pub(super) fn of_transport(error: &reqwest::Error) -> RequestFailed {
    let why = if error.is_connect() {
        "no connection could be made"
    } else if error.is_timeout() {
        "it did not answer in time"
    } else {
        "the connection broke"
    };
    RequestFailed { failure: unavailable(why), uncertain: !error.is_connect(), not_found: false }
}

/// The answer has a status other than success.
pub(super) async fn of_status(response: Response) -> RequestFailed {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let failure = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::new(
            Code::RemoteParserKeyRefused,
            format!("LlamaParse refuses LLAMAPARSE_API_KEY ({}). Set one that it takes.", status.as_u16()),
        ),
        StatusCode::PAYMENT_REQUIRED => Failure::new(
            Code::RemoteParserNoCredits,
            "LlamaParse has no credits left for this account. Buy some, then retry the job; all such jobs can be retried at once.",
        ),
        StatusCode::TOO_MANY_REQUESTS => Failure {
            retry_after: Some(retry_after.unwrap_or(MINUTE).min(MAX_WAIT)),
            ..Failure::new(
                Code::RemoteParserBusy,
                "LlamaParse takes no more requests at the moment. It will be asked again after the wait that it names.",
            )
        },
        StatusCode::NOT_FOUND => unavailable("it knows nothing at this address (404)"),
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => {
            let body = answer::read(response, super::SHORT_ANSWER).await.ok().flatten();
            let reason = body.map_or_else(String::new, |body| detail(&body));
            let status = status.as_u16();
            let message = format!(
                "LlamaParse does not take this document ({status}{reason}). Save it again, or parse it elsewhere."
            );
            Failure::new(Code::RemoteParserRefused, message)
        }
        other => Failure {
            retry_after: retry_after.map(|wait| wait.min(MAX_WAIT)),
            ..unavailable(&format!("it answered with {}", other.as_u16()))
        },
    };
    RequestFailed { failure, uncertain: status.is_server_error(), not_found: status == StatusCode::NOT_FOUND }
}

pub(super) fn unavailable(why: &str) -> Failure {
    Failure::new(
        Code::RemoteParserUnavailable,
        format!("LlamaParse could not be asked: {why}. It will be asked again."),
    )
}

/// FastAPI's `detail`: a sentence, or a list of faults. Of a fault only the sentence is used, because the rest repeats
/// the request.
fn detail(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let reason = match &body["detail"] {
        Value::String(text) => one_line(text),
        Value::Array(faults) => {
            one_line(&faults.iter().filter_map(|f| f["msg"].as_str()).collect::<Vec<_>>().join("; "))
        }
        _ => String::new(),
    };
    if reason.is_empty() { reason } else { format!(": {reason}") }
}

/// A provider's sentence as one short line without a full stop.
pub(super) fn one_line(text: &str) -> String {
    let line: String = domain::printable(text).chars().take(MAX_CHARS).collect();
    line.trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_sentence_becomes_one_short_line() {
        let hostile = format!("bad\n\u{1b}[31m{}", "x".repeat(500));
        let line = one_line(&hostile);
        assert!(line.chars().count() <= MAX_CHARS && !line.chars().any(char::is_control), "{line:?}");
    }

    #[test]
    fn of_a_list_of_faults_only_the_sentences_are_used() {
        let body =
            br#"{"detail":[{"loc":["body","tier"],"msg":"Input should be fast","input":"secret"},{"msg":"Too long"}]}"#;
        assert_eq!(detail(body), ": Input should be fast; Too long");
        assert_eq!(detail(br#"{"detail":"Unsupported."}"#), ": Unsupported");
        assert_eq!(detail(b"<html>"), "");
    }
}
