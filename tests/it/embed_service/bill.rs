//! What is bought is counted: in the job, the document, the timeline and the user's days, exactly, and for good.

use serde_json::{Value, json};

use super::{World, book, world};
use crate::support::fakes::embeddings::Fault;

/// A cent a thousand tokens.
const PRICE: (&str, &str) = ("EMBED_PRICES", "other=1,heron=1000");

/// What the service has charged for, by the price, as PostgreSQL writes it.
async fn charged(world: &World) -> f64 {
    let sql = "SELECT sum(billed_tokens) * 0.001 FROM upload_pipeline.embed_calls WHERE state = 'stored'";
    world.test.value(sql).await.parse().unwrap()
}

async fn get(world: &World, path: &str) -> Value {
    let (status, body) = world.client.get(path).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_document_has_cost_stands_in_job_document_timeline_and_usage_and_outlives_it() {
    let world = world(&[PRICE, ("EMBED_REQUEST_INPUTS", "2")]).await;
    let _worker = world.fleet.worker();
    let job = world.client.upload_text("lamps", &book("lamp", 5)).await;
    let ended = world.client.wait_for_end(&job).await;
    let cost = charged(&world).await;
    assert!(cost > 0.1, "{cost}");
    assert_eq!((&ended["cost_cents"], &ended["uncertain_cents"]), (&json!(cost), &json!(0.0)), "{ended}");
    let document = ended["document_id"].as_str().unwrap();
    let shown = get(&world, &format!("/documents/{document}")).await;
    assert_eq!((&shown["cost_cents"], &shown["uncertain_cents"]), (&json!(cost), &json!(0.0)), "{shown}");
    let told = format!(
        "SELECT payload ->> 'cost_cents' FROM upload_pipeline.events WHERE job_id = '{job}' AND code = 'embeddings_stored'"
    );
    assert_eq!(world.test.value(&told).await.parse::<f64>().unwrap(), cost);
    let usage = get(&world, "/usage").await;
    let day = &usage["days"][0];
    assert_eq!((&day["provider"], &day["model"], &day["bought"]), (&json!("openai"), &json!("heron"), &usage["total"]));
    let (requests, tokens) = (&usage["total"]["requests"], &usage["total"]["tokens"]);
    assert_eq!((requests, tokens.as_f64()), (&json!(3), Some((cost * 1000.0).round())), "{usage}");
    assert_eq!((&usage["total"]["cost_cents"], &usage["uncertain"]["requests"]), (&json!(cost), &json!(0)), "{usage}");
    let (status, _receipt) = world.client.send(reqwest::Method::DELETE, &format!("/documents/{document}"), None).await;
    assert!(status < 300, "{status}");
    assert_eq!(world.test.value("SELECT count(*) FROM upload_pipeline.embed_calls").await, "0");
    assert_eq!(get(&world, "/usage").await["total"], usage["total"], "the bill outlives the document");
    let stranger = world.client.as_user("22222222-2222-4222-8222-222222222222");
    assert_eq!(stranger.get("/usage").await.1["days"], json!([]));
    let (status, printed, log) = world.fleet.run(&["usage", "--all"]);
    assert!(status.success() && printed.contains("heron") && printed.contains(&cost.to_string()), "{printed}{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_price_the_cost_is_unknown_and_not_nothing() {
    let world = world(&[]).await;
    let _worker = world.fleet.worker();
    let job = world.client.upload_text("lamps", &book("lamp", 2)).await;
    let ended = world.client.wait_for_end(&job).await;
    assert_eq!((&ended["status"], &ended["cost_cents"]), (&json!("complete"), &Value::Null), "{ended}");
    let usage = get(&world, "/usage").await;
    assert_eq!((&usage["total"]["requests"], &usage["total"]["cost_cents"]), (&json!(1), &Value::Null), "{usage}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_a_crash_has_cut_off_stays_counted_as_uncertain() {
    let world = world(&[PRICE, ("EMBED_REQUEST_INPUTS", "2"), ("EMBED_REQUESTS_IN_FLIGHT", "1")]).await;
    world.service.set(|behaviour| behaviour.holds = true);
    let worker = world.fleet.worker();
    let job = world.client.upload_text("lamps", &book("lamp", 4)).await;
    world.service.wait_for_requests(1).await;
    worker.kill();
    let lost = "SELECT reserved_cents * 1.0 FROM upload_pipeline.embed_calls WHERE state IN ('intended', 'uncertain')";
    let lost: f64 = world.test.value(lost).await.parse().unwrap();
    let usage = get(&world, "/usage").await;
    assert_eq!((&usage["total"]["requests"], &usage["uncertain"]["cost_cents"]), (&json!(0), &json!(lost)), "{usage}");
    world.service.set(|behaviour| behaviour.holds = false);
    let _worker = world.fleet.worker();
    let ended = world.client.wait_for_end(&job).await;
    let cost = charged(&world).await;
    assert_eq!((&ended["cost_cents"], &ended["uncertain_cents"]), (&json!(cost), &json!(lost)), "{ended}");
    let usage = get(&world, "/usage").await;
    let sums = (&usage["total"]["cost_cents"], &usage["uncertain"]["cost_cents"], &usage["uncertain"]["requests"]);
    assert_eq!(sums, (&json!(cost), &json!(lost), &json!(1)), "{usage}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_the_service_refuses_is_not_counted() {
    let world = world(&[PRICE]).await;
    world.service.set(|behaviour| behaviour.next = [Fault::Busy(0), Fault::Busy(0)].into());
    let _worker = world.fleet.worker();
    let job = world.client.upload_text("lamps", &book("lamp", 2)).await;
    let ended = world.skip_waits_until_end(&job).await;
    assert_eq!((&ended["status"], &ended["uncertain_cents"]), (&json!("complete"), &json!(0.0)), "{ended}");
    let usage = get(&world, "/usage").await;
    let counts = (&usage["total"]["requests"], &usage["uncertain"]["requests"], &usage["uncertain"]["tokens"]);
    assert_eq!(counts, (&json!(1), &json!(0), &json!(0)), "{usage}");
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_are_no_days_are_refused() {
    let world = world(&[]).await;
    for query in ["from=yesterday", "from=2026-02-30", "from=2026-03-02&to=2026-03-01", "from=2024-01-01&to=2026-01-01"]
    {
        let (status, refused) = world.client.get(&format!("/usage?{query}")).await;
        assert_eq!((status, &refused["code"]), (400, &json!("day_invalid")), "{query}: {refused}");
    }
    let (status, misspelt) = world.client.get("/usage?form=2026-03-01").await;
    assert_eq!(status, 400, "{misspelt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_an_upload_would_cost_and_stores_nothing() {
    let mut world = world(&[PRICE]).await;
    world.fleet.set("APP_URL", &world.client.root.clone());
    world.fleet.set("APP_TOKEN", &world.client.token.clone());
    let text = book("lamp", 5);
    let part = |name: &str| reqwest::multipart::Part::text(text.clone()).file_name(name.to_owned());
    let form = reqwest::multipart::Form::new()
        .part("file", part("a.md"))
        .part("file", part("a.pdf").mime_str("application/pdf").unwrap());
    let request = reqwest::Client::new().post(world.client.url("/estimate")).bearer_auth(&world.client.token);
    let sent = request.multipart(form).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    let estimated: Value = sent.json().await.unwrap();
    let found = &estimated["files"][0];
    assert_eq!((&found["passages"], &estimated["cost_cents"]), (&json!(5), &found["cost_cents"]), "{estimated}");
    assert_eq!(estimated["files"][1]["failure"]["code"], "type_mismatch", "{estimated}");
    for table in ["documents", "uploads", "upload_jobs", "usage_days"] {
        assert_eq!(world.test.value(&format!("SELECT count(*) FROM upload_pipeline.{table}")).await, "0", "{table}");
    }
    let file = world.fleet.file("a.md", text.as_bytes());
    let (status, printed, log) = world.fleet.run(&["upload", "--dry-run", file.to_str().unwrap()]);
    assert!(status.success() && printed.contains(&found["cost_cents"].to_string()), "{printed}{log}");
    // The estimate is what is reserved, and no less than what is charged.
    let _worker = world.fleet.worker();
    let job = world.client.upload_text("a", &text).await;
    let charged = world.client.wait_for_end(&job).await["cost_cents"].as_f64().unwrap();
    let reserved = "SELECT sum(reserved_cents) FROM upload_pipeline.embed_calls";
    let reserved: f64 = world.test.value(reserved).await.parse().unwrap();
    assert_eq!(found["cost_cents"], json!(reserved));
    assert!(charged > 0.0 && charged <= reserved, "{charged} of {reserved}");
}
