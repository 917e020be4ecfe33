//! Turns the service's refusals and failed connections into failures. Nothing of what the service says is repeated, since it
//! may quote the texts or the key; only codes of one word are.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::{
    body::read_body,
    wait::{MAX_WAIT, retry_after},
};
use domain::{Code, Failure, ports::BuyFailed};

/// The wait after a 429 that names none.
const SHORT_WAIT: Duration = Duration::from_secs(10);
/// The most bytes of a refusal that are read.
const MAX_REFUSAL: u64 = 64 * 1024;
/// OpenAI's codes of a 429 that no wait helps against ("Error codes").
const QUOTA: [&str; 4] =
    ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "account_deactivated"];

/// A failure that cost nothing.
pub(super) fn free(code: Code, message: impl Into<String>) -> BuyFailed {
    BuyFailed { failure: Failure::new(code, message), uncertain: false, refuses_texts: false }
}

/// A failure after which the service may have charged.
pub(super) fn uncertain(code: Code, message: impl Into<String>) -> BuyFailed {
    BuyFailed { uncertain: true, ..free(code, message) }
}

/// There was no answer within the time, or no connection.
pub(super) fn of_transport(error: &reqwest::Error, within: Duration) -> BuyFailed {
    let uncertain = !error.is_connect();
    if error.is_timeout() && uncertain {
        return timed_out(within);
    }
    let why = if error.is_connect() { "no connection could be made" } else { "the connection broke" };
    BuyFailed { uncertain, ..unavailable(why) }
}

pub(super) fn timed_out(within: Duration) -> BuyFailed {
    let seconds = within.as_secs_f64();
    uncertain(
        Code::EmbedServiceTimeout,
        format!("The embedding service did not answer within {seconds} s. It will be asked again."),
    )
}

fn unavailable(why: &str) -> BuyFailed {
    free(
        Code::EmbedServiceUnavailable,
        format!("The embedding service could not be asked: {why}. It will be asked again."),
    )
}

/// The answer has a status other than success.
pub(super) async fn of_status(response: Response, model: &str) -> BuyFailed {
    let (status, wait) = (response.status(), retry_after(response.headers()));
    let body = read_body(response, MAX_REFUSAL).await.ok().flatten().unwrap_or_default();
    of_refusal(status, wait, &Refusal::parse(&body), model)
}

/// What a refusal says of its reason.
#[derive(Debug, Default)]
struct Refusal {
    /// Its code and its type.
    words: Vec<String>,
    /// Whether its sentence is about a model.
    names_model: bool,
}

impl Refusal {
    /// OpenAI's `{"error": {"message", "type", "code"}}`, or the same without the outer object, as some have it.
    fn parse(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = if body["error"].is_object() { &body["error"] } else { &body };
        let words = ["code", "type", "error_type"].iter().filter_map(|key| error[key].as_str().map(str::to_owned));
        let sentence = [&error["message"], &body["error"], &body["detail"]].into_iter().find_map(Value::as_str);
        let names_model = sentence.is_some_and(|sentence| sentence.to_lowercase().contains("model"));
        Self { words: words.collect(), names_model }
    }

    fn says(&self, word: &str) -> bool {
        self.words.iter().any(|said| said == word)
    }

    /// Its code, fit to be shown.
    fn shown(&self) -> String {
        let is_plain =
            |word: &&String| word.len() <= 60 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        self.words.iter().find(is_plain).map_or_else(String::new, |word| format!(", {word}"))
    }
}

fn of_refusal(status: StatusCode, wait: Option<Duration>, refusal: &Refusal, model: &str) -> BuyFailed {
    let shown = format!("{}{}", status.as_u16(), refusal.shown());
    let no_model = || {
        let message = format!(
            "The embedding service does not know the model {model} ({shown}). Check EMBED_MODEL, or make the service load it."
        );
        free(Code::EmbedServiceModelUnknown, message)
    };
    match status {
        _ if refusal.says("model_not_found") => no_model(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let message = format!(
                "The embedding service refuses OPENAI_API_KEY, or wants one ({shown}). Set a key that it takes."
            );
            free(Code::EmbedServiceKeyRefused, message)
        }
        StatusCode::PAYMENT_REQUIRED => no_quota(&shown),
        StatusCode::TOO_MANY_REQUESTS if QUOTA.iter().any(|word| refusal.says(word)) => no_quota(&shown),
        StatusCode::TOO_MANY_REQUESTS => {
            let message = "The embedding service takes no more requests at the moment. It will be asked again after the wait that it names.";
            let mut failed = free(Code::EmbedServiceBusy, message);
            failed.failure.retry_after = Some(wait.unwrap_or(SHORT_WAIT).min(MAX_WAIT));
            failed
        }
        StatusCode::NOT_FOUND if refusal.names_model => no_model(),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => wrong_address(&shown),
        status if status.is_redirection() => wrong_address(&shown),
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => BuyFailed {
            refuses_texts: true,
            ..free(
                Code::EmbedServiceTextRefused,
                format!("The embedding service refuses a text of the document ({shown})."),
            )
        },
        status => {
            let mut failed = unavailable(&format!("it answered with {shown}"));
            failed.uncertain = status.is_server_error();
            failed.failure.retry_after = wait.map(|wait| wait.min(MAX_WAIT));
            failed
        }
    }
}

fn no_quota(shown: &str) -> BuyFailed {
    let message = format!(
        "The account with the embedding service has no money or no quota left ({shown}). Add credit, or raise its limit."
    );
    free(Code::EmbedServiceNoQuota, message)
}

fn wrong_address(shown: &str) -> BuyFailed {
    let message = format!(
        "What answers at OPENAI_API_URL knows no embeddings ({shown}). Check the address: requests go to /embeddings below it."
    );
    free(Code::EmbedServiceAddressWrong, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status: u16, body: &str) -> Code {
        let refusal = Refusal::parse(body.as_bytes());
        of_refusal(StatusCode::from_u16(status).unwrap(), None, &refusal, "m").failure.code
    }

    #[test]
    fn each_refusal_of_each_service_has_its_code() {
        for (status, body, wanted) in [
            (
                401,
                r#"{"error":{"message":"Incorrect API key: sk-x","code":"invalid_api_key"}}"#,
                Code::EmbedServiceKeyRefused,
            ),
            (
                403,
                r#"{"error":{"message":"no access to model","code":"model_not_found"}}"#,
                Code::EmbedServiceModelUnknown,
            ),
            (429, r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#, Code::EmbedServiceNoQuota),
            (429, r#"{"error":{"type":"tokens","code":"rate_limit_exceeded"}}"#, Code::EmbedServiceBusy),
            (402, "", Code::EmbedServiceNoQuota),
            // Ollama, vLLM, and a web server that is something else.
            (
                404,
                r#"{"error":{"message":"model \"m\" not found, try pulling it first"}}"#,
                Code::EmbedServiceModelUnknown,
            ),
            (
                404,
                r#"{"object":"error","message":"The model `m` does not exist.","code":404}"#,
                Code::EmbedServiceModelUnknown,
            ),
            (404, r#"{"detail":"Not Found"}"#, Code::EmbedServiceAddressWrong),
            (308, "", Code::EmbedServiceAddressWrong),
            // TEI.
            (
                422,
                r#"{"message":"batch size 64 > maximum allowed batch size 32","type":"Validation"}"#,
                Code::EmbedServiceTextRefused,
            ),
            (503, "<html>", Code::EmbedServiceUnavailable),
        ] {
            assert_eq!(code(status, body), wanted, "{status} {body}");
        }
    }

    #[test]
    fn nothing_but_a_plain_code_of_an_answer_is_repeated() {
        let body = r#"{"error":{"message":"cannot read 'the secret text'","type":"in valid\n","code":"bad_input"}}"#;
        let failed = of_refusal(StatusCode::BAD_REQUEST, None, &Refusal::parse(body.as_bytes()), "m");
        assert!(failed.refuses_texts && !failed.uncertain);
        assert!(failed.failure.message.contains("(400, bad_input)"), "{}", failed.failure);
        assert!(!failed.failure.message.contains("secret"), "{}", failed.failure);
    }

    #[test]
    fn a_wait_is_kept_and_only_errors_of_the_server_may_have_been_charged() {
        let of = |status, wait| of_refusal(status, wait, &Refusal::default(), "m");
        let busy = of(StatusCode::TOO_MANY_REQUESTS, Some(Duration::from_secs(7)));
        assert_eq!((busy.failure.retry_after, busy.uncertain), (Some(Duration::from_secs(7)), false));
        assert_eq!(of(StatusCode::TOO_MANY_REQUESTS, None).failure.retry_after, Some(SHORT_WAIT));
        assert!(of(StatusCode::BAD_GATEWAY, None).uncertain && !of(StatusCode::GONE, None).uncertain);
    }
}
