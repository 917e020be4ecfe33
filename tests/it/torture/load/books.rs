//! A user with long texts, beside users with pages.

use serde_json::json;

use super::{Client, documents, pause};

pub const USER: &str = "55555555-5555-4555-8555-555555555555";
/// Books that this user has under way.
pub const AT_A_TIME: u64 = 2;
/// Sections of a book: a few hundred passages, some seconds of work.
const SECTIONS: usize = 120;

pub async fn run(mut client: Client, n: u64) {
    let mut made = 0;
    while client.shared.may_go_on().await {
        made += 1;
        let tag = format!("{}-book-{n}-{made}", client.shared.seed);
        let text: String = (0..SECTIONS)
            .map(|section| documents::markdown(&mut client.rng, &format!("{tag}-{section}")))
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .collect();
        let body = json!({ "title": format!("{tag}.md"), "text": text });
        let (_, body) = client.send_until_answered(reqwest::Method::POST, "/documents", &body).await;
        let entry = if body["documents"].is_array() { &body["documents"][0] } else { &body };
        let (Some(job), Some(id)) = (entry["job_id"].as_str(), entry["document_id"].as_str()) else { continue };
        client.shared.promise(job, id, "complete");
        client.shared.update_promise(job, |promise| promise.book = true);
        while !*client.shared.stop.borrow() && is_under_way(&client, job).await {
            pause().await;
        }
    }
}

/// Whether the job has not ended. One that a failover has lost is not there any more.
async fn is_under_way(client: &Client, job: &str) -> bool {
    let path = format!("/jobs/{job}");
    let (status, body) = client.send_until_answered(reqwest::Method::GET, &path, &serde_json::Value::Null).await;
    status == 429 || (status == 200 && body["terminal"] == false)
}
