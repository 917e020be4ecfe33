//! The server refuses by itself what it cannot parse, before any code of ours sees it, with a bare status. Here that
//! answer becomes a problem like all others.

use uuid::Uuid;

use super::super::{ApiError, shield};
use domain::Code;
use telemetry::metrics::METRICS;

/// Longer than any bare answer is.
const BARE_BYTES: usize = 256;

/// What to write instead of `buf`, where that ends in a bare refusal: a head of one of three statuses, without a body and
/// without the id that each answer of ours has.
pub fn explained(buf: &[u8]) -> Option<Vec<u8>> {
    if !buf.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = buf.len().saturating_sub(BARE_BYTES);
    let begins = from + buf[from..].windows(7).rposition(|bytes| bytes == b"HTTP/1.")?;
    let head = std::str::from_utf8(&buf[begins..]).ok()?;
    let mut lines = head.strip_suffix("\r\n\r\n")?.split("\r\n");
    let error = error(lines.next()?.split(' ').nth(1)?)?;
    let (mut date, mut empty) = (None, false);
    for line in lines {
        match line.split_once(": ")? {
            ("date", value) => date = Some(value),
            ("content-length", "0") => empty = true,
            ("connection", _) => {}
            _ => return None,
        }
    }
    if !empty {
        return None;
    }
    let mut answer = buf[..begins].to_vec();
    answer.extend_from_slice(&problem(&error, date));
    Some(answer)
}

/// For a request that is given up because the rest of its body cannot be read.
pub fn of_a_broken_body() -> Vec<u8> {
    problem(&malformed(), None)
}

/// For a request whose head does not come whole, behind others on its connection.
pub fn of_a_slow_head() -> Vec<u8> {
    problem(&slow_head(), None)
}

fn slow_head() -> ApiError {
    ApiError::new(
        Code::HeadTooSlow,
        "The head of the request did not come whole within API_HEAD_TIMEOUT (on a connection that is kept: and API_KEEP_ALIVE). Send it again over a better connection.",
    )
}

fn malformed() -> ApiError {
    ApiError::of(Code::RequestMalformed)
}

fn error(status: &str) -> Option<ApiError> {
    Some(match status {
        "400" => malformed(),
        "408" => slow_head(),
        "431" => ApiError::new(
            Code::HeadTooLarge,
            "The head of the request has more than 96 headers or more than 128 KiB. Send fewer or smaller ones.",
        ),
        _ => return None,
    })
}

fn problem(error: &ApiError, date: Option<&str>) -> Vec<u8> {
    let id = Uuid::now_v7();
    let (status, code) = (error.status().as_u16(), error.code());
    tracing::info!(request.id = %id, status, code = code.as_str(), "what came is no request");
    METRICS.record_request_error(code);
    // A struct of strings and ids cannot fail to become JSON.
    let body = serde_json::to_vec(&error.problem(Some(id))).unwrap_or_default();
    let mut head = format!(
        "HTTP/1.1 {}\r\nconnection: close\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nx-request-id: {id}\r\nx-correlation-id: {id}\r\n",
        error.status(),
        body.len()
    );
    let common = shield::headers()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    for (name, value) in common.chain(date.map(|date| ("date".to_owned(), date.to_owned()))) {
        head.extend([&name, ": ", &value, "\r\n"]);
    }
    head.push_str("\r\n");
    [head.into_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\ndate: Sun, 22 Nov 2026 01:02:03 GMT\r\n\r\n";

    #[test]
    fn a_bare_refusal_becomes_a_problem_behind_what_came_before_it() {
        let before = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: 1\r\n\r\n{}";
        let whole = String::from_utf8(explained(format!("{before}{BARE}").as_bytes()).unwrap()).unwrap();
        let (head, body) = whole.strip_prefix(before).unwrap().split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        for line in [
            "date: Sun, 22 Nov 2026 01:02:03 GMT",
            "content-type: application/problem+json",
            &format!("content-length: {}", body.len()),
            "x-content-type-options: nosniff",
        ] {
            assert!(head.lines().any(|found| found == line), "{line}: {head}");
        }
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((body["status"].as_u64(), body["code"].as_str()), (Some(400), Some("request_malformed")));
    }

    #[test]
    fn an_answer_of_ours_is_left_as_it_is() {
        for ours in [
            BARE.replace("date", "x-request-id: 1\r\ndate"),
            BARE.replace(": 0", ": 1"),
            BARE.replace("400", "404"),
            BARE.replace("\r\n\r\n", "\r\n"),
            format!("{BARE}{{}}"),
            String::new(),
        ] {
            assert_eq!(explained(ours.as_bytes()), None, "{ours}");
        }
    }
}
