//! The LlamaParse client alone: how it classifies each answer.

use std::time::{Duration, Instant};

use domain::{
    Code, ErrorClass,
    ports::{RemoteParser, RemoteState},
};
use providers::llamaparse::{LlamaParse, LlamaParseOptions};
use serde_json::json;

use crate::support::{
    fakes::{
        http::Reply,
        llamaparse::{self as fake, Call},
    },
    scratch::Scratch,
};

fn client(provider: &fake::LlamaParse) -> LlamaParse {
    let options = LlamaParseOptions {
        answer_within: Duration::from_millis(300),
        ..LlamaParseOptions::new(provider.url().parse().unwrap(), "agentic".to_owned())
    };
    LlamaParse::new(&options, super::KEY).unwrap()
}

async fn uploaded(client: &LlamaParse) -> String {
    let scratch = Scratch::new("client");
    std::fs::create_dir_all(scratch.path()).unwrap();
    let file = scratch.path().join("file");
    std::fs::write(&file, super::TWO_PAGES).unwrap();
    client.upload(&file, "document.pdf", "application/pdf").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_says_whether_it_may_have_cost_money() {
    let provider = fake::LlamaParse::start(super::KEY);
    let client = client(&provider);
    let file = uploaded(&client).await;
    let page = Reply::Answer(200, "text/html", b"<html>".to_vec());
    for (reply, code, class, uncertain) in [
        (Reply::empty(401), "remote_parser_key_refused", ErrorClass::Configuration, false),
        (Reply::empty(402), "remote_parser_no_credits", ErrorClass::Document, false),
        (Reply::empty(404), "remote_parser_address_wrong", ErrorClass::Configuration, false),
        (Reply::empty(422), "remote_parser_refused", ErrorClass::Document, false),
        (Reply::empty(429), "remote_parser_busy", ErrorClass::Quota, false),
        (Reply::empty(302), "remote_parser_unavailable", ErrorClass::Transient, false),
        (Reply::empty(500), "remote_parser_unavailable", ErrorClass::Transient, true),
        (page, "remote_parser_answer_invalid", ErrorClass::Transient, true),
        (Reply::Silence, "remote_parser_unavailable", ErrorClass::Transient, true),
    ] {
        let name = format!("{reply:?}");
        provider.next(Call::Start, [reply]);
        let began = Instant::now();
        let failed = client.start(&file, None).await.unwrap_err();
        assert_eq!(
            (failed.failure.code.as_str(), failed.failure.class, failed.uncertain),
            (code, class, uncertain),
            "{name}"
        );
        assert!(began.elapsed() < Duration::from_secs(10), "{name}: {:?}", began.elapsed());
        assert!(!failed.failure.message.contains(super::KEY));
    }
    let job = client.start(&file, None).await.unwrap();
    let body = &provider.jobs().last().unwrap().body.clone();
    assert_eq!(*body, json!({ "file_id": file, "tier": "agentic", "version": "latest" }));
    assert_eq!(client.get_state(&job).await.unwrap(), RemoteState::Ready);
    assert_eq!(client.get_state("pjb-none").await.unwrap(), RemoteState::Gone);
    assert_eq!(client.fetch("pjb-none", 1000).await.unwrap(), None);
    assert_eq!(client.fetch(&job, 1000).await.unwrap().unwrap().pages, 2);
    assert_eq!(client.fetch(&job, 20).await.unwrap_err().code, Code::ParseOutputLimit);
    client.probe().await.unwrap();
    // A new client opens a new connection. On a kept connection the request might have been read before it broke.
    let client = self::client(&provider);
    drop(provider);
    let failed = client.start(&file, None).await.unwrap_err();
    assert_eq!(
        (failed.failure.code, failed.uncertain),
        (Code::RemoteParserUnavailable, false),
        "a refused connection cannot have started a paid job"
    );
}
