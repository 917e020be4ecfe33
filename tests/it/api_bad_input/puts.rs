//! The PUT of an announced upload with wrong bytes.

use std::time::{Duration, Instant};

use super::{problem, raw};
use crate::{
    requests::{Api, announcement, api, files_in, send},
    support::fleet::PATIENCE,
};

const TEXT: &[u8] = b"# The announced text\n\nand nothing else at all";

struct Announced {
    api: Api,
    url: String,
    job: String,
}

async fn announced() -> Announced {
    let api = api(&[]).await;
    let (status, accepted) = api.client.post("/upload", announcement("a.md", TEXT)).await;
    assert_eq!(status, 201, "{accepted}");
    let text = |field: &str| accepted[field].as_str().unwrap().to_owned();
    Announced { url: text("signed_url"), job: text("job_id"), api }
}

impl Announced {
    fn assert_nothing_stored(&self, after: &str) {
        assert_eq!(files_in(&self.api.fleet.storage()), [""; 0], "{after}");
    }

    /// Waits until no file is stored: the partial file of a broken request is removed shortly after its connection ends.
    async fn wait_until_nothing_stored(&self, after: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !files_in(&self.api.fleet.storage()).is_empty() {
            assert!(Instant::now() < deadline, "{after}: a file is still stored");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The head of a PUT to the signed URL, without its framing.
    fn head(&self) -> String {
        let path = self.url.strip_prefix(&self.api.client.root).unwrap();
        format!("PUT {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n")
    }

    async fn assert_can_still_be_sent(&self) {
        assert_eq!(
            self.api.test.value("SELECT count(*) FROM upload_pipeline.uploads WHERE stored_at IS NULL").await,
            "1"
        );
        let put = send(reqwest::Client::new().put(&self.url).body(TEXT)).await;
        assert_eq!(put.status, 204, "{put:?}");
        let job = self.api.client.get(&format!("/jobs/{}", self.job)).await.1;
        assert_eq!(job["state"], "queued", "{job}");
        assert_eq!(files_in(&self.api.fleet.storage()).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_not_stored_and_the_url_stays_valid() {
    let announced = announced().await;
    let other: Vec<u8> = TEXT.iter().rev().copied().collect();
    let http = reqwest::Client::new();
    let stream =
        |bytes: Vec<u8>| reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(bytes)]));
    let long = [TEXT, b"!"].concat();
    for (name, body, status, code) in [
        ("nothing", reqwest::Body::from(Vec::new()), 422, "size_mismatch"),
        ("fewer", TEXT[..10].to_vec().into(), 422, "size_mismatch"),
        ("more", long.clone().into(), 413, "size_mismatch"),
        ("other bytes", other.clone().into(), 422, "hash_mismatch"),
        ("fewer, in chunks", stream(TEXT[..10].to_vec()), 422, "size_mismatch"),
        ("more, in chunks", stream(long), 413, "size_mismatch"),
        ("other bytes, in chunks", stream(other), 422, "hash_mismatch"),
    ] {
        let answer = send(http.put(&announced.url).body(body)).await;
        assert_eq!(problem(&answer), Ok(format!("{status} {code}")), "{name}: {answer:?}");
        announced.assert_nothing_stored(name);
    }
    for coding in ["gzip", "deflate"] {
        let answer = send(http.put(&announced.url).header("content-encoding", coding).body(TEXT)).await;
        assert_eq!(problem(&answer), Ok("415 content_encoding_invalid".to_owned()), "{answer:?}");
    }
    for tampered in [
        announced.url.replace("signature=", "signature=x"),
        announced.url.replace("expires=", "expires=9"),
        announced.url.split("&signature").next().unwrap().to_owned(),
    ] {
        let answer = send(http.put(&tampered).body(TEXT)).await;
        assert!([400, 403].contains(&answer.status), "{answer:?}");
        problem(&answer).unwrap();
    }
    announced.assert_nothing_stored("wrong URLs");
    announced.assert_can_still_be_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_length_or_a_broken_connection_stores_nothing() {
    let announced = announced().await;
    let (head, text) = (announced.head(), String::from_utf8(TEXT.to_vec()).unwrap());
    let length = TEXT.len();
    // The server may close the connection without an answer when it cannot read the rest of the body.
    let incomplete: &[&str] = &["", "body_incomplete"];
    for (name, request, codes) in [
        ("cut off", format!("{head}Content-Length: {length}\r\n\r\n{}", &text[..10]), incomplete),
        (
            "a length too large",
            format!("{head}Content-Length: 999999\r\n\r\n{text}"),
            &["size_mismatch", "body_incomplete"][..],
        ),
        (
            "chunks cut off",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{}", &text[..10]),
            incomplete,
        ),
        (
            "chunks without an end",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{text}\r\n"),
            incomplete,
        ),
        ("garbage for chunks", format!("{head}Transfer-Encoding: chunked\r\n\r\nhello\r\n{text}"), incomplete),
        (
            "a chunk size out of range",
            format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{text}"),
            incomplete,
        ),
    ] {
        let (status, problem, answer) = raw(&announced.api, request.as_bytes()).await;
        assert!(status == 0 || (400..500).contains(&status), "{name}: {answer}");
        assert!(codes.contains(&problem["code"].as_str().unwrap_or_default()), "{name}: {answer}");
        announced.wait_until_nothing_stored(name).await;
    }
    announced.assert_can_still_be_sent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_puts_store_the_announced_bytes() {
    let announced = announced().await;
    let other: Vec<u8> = TEXT.iter().rev().copied().collect();
    let put = |body: Vec<u8>| {
        let url = announced.url.clone();
        tokio::spawn(async move { send(reqwest::Client::new().put(url).body(body)).await })
    };
    let (wrong, right) = (0..4).map(|_| (put(other.clone()), put(TEXT.to_vec()))).unzip::<_, _, Vec<_>, Vec<_>>();
    for answer in right {
        assert_eq!(answer.await.unwrap().status, 204);
    }
    for answer in wrong {
        let answer = answer.await.unwrap();
        assert_eq!(problem(&answer), Ok("422 hash_mismatch".to_owned()), "{answer:?}");
    }
    let files = files_in(&announced.api.fleet.storage());
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(std::fs::read(&files[0]).unwrap(), TEXT);
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_100_continue_is_answered_with_100() {
    let announced = announced().await;
    let request = format!(
        "{}Content-Length: {}\r\nExpect: 100-continue\r\n\r\n{}",
        announced.head(),
        TEXT.len(),
        String::from_utf8_lossy(TEXT)
    );
    let (_, _, answer) = raw(&announced.api, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue") && answer.contains("HTTP/1.1 204"), "{answer}");
    assert_eq!(files_in(&announced.api.fleet.storage()).len(), 1);
}
