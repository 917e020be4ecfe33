//! Uploads a day are counted in the database, across all instances.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::header;
use crate::support::{
    db::TestDb,
    served::{Plan, Served},
};

const PER_DAY: u32 = 7;

async fn instance(test: &TestDb) -> Served {
    let mut plan = Plan::new();
    plan.settings.uploads.per_day = PER_DAY;
    plan.serve(&test.url).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_together_accept_exactly_the_daily_uploads() {
    let test = TestDb::new().await;
    let (one, two) = (instance(&test).await, instance(&test).await);
    let sent = (0..24).map(|n| {
        let client = if n % 2 == 0 { one.client.clone() } else { two.client.clone() };
        tokio::spawn(async move {
            if n % 4 < 2 {
                return client.post("/documents", json!({ "title": "Notes", "text": format!("# {n}") })).await;
            }
            let sha256 = format!("{n:064x}");
            let body = json!({ "filename": "a.md", "bytes_len": 1, "mime": "text/markdown", "sha256": sha256 });
            client.post("/upload", body).await
        })
    });
    let answers: Vec<(u16, Value)> = join_all(sent).await.into_iter().map(Result::unwrap).collect();
    let accepted = answers.iter().filter(|(status, _)| matches!(status, 201 | 202)).count();
    assert_eq!(accepted, PER_DAY as usize, "{answers:?}");
    for (status, body) in answers.iter().filter(|(status, _)| !matches!(status, 201 | 202)) {
        assert_eq!((*status, body["code"].as_str()), (429, Some("uploads_per_day")), "{body}");
    }
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.uploads").await, PER_DAY.to_string());
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.upload_jobs").await, PER_DAY.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_uploads_show_the_remaining_daily_uploads() {
    let test = TestDb::new().await;
    let mut plan = Plan::new();
    plan.settings.uploads.per_day = 2;
    plan.settings.http.rate_per_minute = 600;
    let api = plan.serve(&test.url).await;
    let send = |text: &str| {
        let request = reqwest::Client::new().post(api.client.url("/documents")).bearer_auth(&api.client.token);
        request.json(&json!({ "title": "Notes", "text": text })).send()
    };
    for (text, status, left) in [("# a", 202, 1), ("# a", 409, 1), (" ", 422, 1), ("# b", 202, 0), ("# c", 429, 0)] {
        let answer = send(text).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{text}");
        let policy = header(&answer, "ratelimit-policy");
        assert_eq!(policy, "\"requests\";q=100;w=10, \"uploads\";q=2;w=86400", "{text}");
        let limit = header(&answer, "ratelimit");
        let uploads = limit.split(", ").nth(1).unwrap();
        let reset: u64 = uploads.strip_prefix(&format!("\"uploads\";r={left};t=")).expect(limit).parse().unwrap();
        assert!((86_300..=86_400).contains(&reset), "{limit}");
        if status == 429 {
            let wait: u64 = header(&answer, "retry-after").parse().unwrap();
            assert!(wait.abs_diff(reset) <= 1, "{wait} {reset}");
        }
    }
    let jobs = reqwest::Client::new().get(api.client.url("/jobs")).bearer_auth(&api.client.token).send().await.unwrap();
    assert!(!header(&jobs, "ratelimit").contains("uploads"), "{:?}", jobs.headers());
}
