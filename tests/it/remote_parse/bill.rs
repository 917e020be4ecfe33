//! Pages that LlamaParse reads are counted and capped like everything that is bought.

use serde_json::{Value, json};

use super::{TWO_PAGES, World, world};
use crate::support::fakes::{http::Reply, llamaparse::Call};

const PRICE: (&str, &str) = ("LLAMAPARSE_PRICES", "cost_effective=0.375,agentic=1.25");

async fn usage(world: &World) -> Value {
    world.client.get("/usage").await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_reserved_by_our_count_and_charged_by_the_answers() {
    let world = world(&[PRICE]).await;
    world.provider.set(|behaviour| behaviour.status = "RUNNING");
    let _worker = world.fleet.worker();
    let job = world.upload().await;
    world.wait_until_parked(&job).await;
    let before = usage(&world).await;
    assert_eq!((&before["uncertain"]["pages"], &before["total"]["pages"]), (&json!(2), &json!(0)), "{before}");
    assert_eq!(before["uncertain"]["cost_cents"], json!(0.75));
    world.provider.set(|behaviour| {
        behaviour.status = "COMPLETED";
        behaviour.pages.push(Some("A third page.".to_owned()));
    });
    let ended = world.skip_waits_until_end(&job).await;
    let costs = (&ended["status"], &ended["cost_cents"], &ended["uncertain_cents"]);
    assert_eq!(costs, (&json!("complete"), &json!(1.125), &json!(0.0)), "{ended}");
    let after = usage(&world).await;
    assert_eq!((&after["uncertain"]["requests"], &after["total"]["pages"]), (&json!(0), &json!(3)), "{after}");
    assert_eq!((&after["days"][0]["model"], &after["total"]["cost_cents"]), (&json!("cost_effective"), &json!(1.125)));
    let told = format!(
        "SELECT payload ->> 'cost_cents' FROM upload_pipeline.events WHERE job_id = '{job}' AND type = 'stage_done' AND code = 'parsed'"
    );
    assert_eq!(world.test.value(&told).await, "1.125");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_llamaparse_refuses_is_not_counted() {
    let world = world(&[PRICE]).await;
    world.provider.next(Call::Start, [Reply::json(402, &json!({ "detail": "no credits" }))]);
    let _worker = world.fleet.worker();
    let job = world.upload().await;
    assert_eq!(world.client.wait_for_end(&job).await["last_error"]["code"], "remote_parser_no_credits");
    let counted = usage(&world).await;
    assert_eq!((&counted["total"]["requests"], &counted["uncertain"]["pages"]), (&json!(0), &json!(0)), "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_keeps_documents_from_llamaparse_and_lets_the_others_through() {
    let world = world(&[PRICE, ("MAX_CENTS_PER_USER_PER_DAY", "1")]).await;
    let _worker = world.fleet.worker();
    let first = world.upload().await;
    assert_eq!(world.skip_waits_until_end(&first).await["cost_cents"], 0.75);
    let scan = world.upload_with_ocr("two-pages.pdf", "application/pdf", TWO_PAGES).await;
    let code =
        format!("SELECT coalesce(last_error ->> 'code', '') FROM upload_pipeline.upload_jobs WHERE job_id = '{scan}'");
    world.wait_for(&code, "user_day_cap_reached").await;
    assert_eq!(world.provider.jobs().len(), 1, "nothing more is bought");
    assert_eq!(world.provider.calls(Call::Upload), 1, "and nothing is sent that would not be read");
    let text = world.client.upload_text("notes", "# Notes\n\nThe heron waits by the water.").await;
    assert_eq!(world.client.wait_for_end(&text).await["status"], "complete");
    let (status, printed, _log) = world.fleet.run(&["check", "--only", "money", "--output", "json"]);
    assert!(
        status.success() && printed.contains("money.caps/reached") && printed.contains("1 jobs of 1 users"),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn app_check_names_the_tier_that_has_no_price() {
    let world = world(&[]).await;
    let (status, printed, _log) = world.fleet.run(&["check", "--only", "money", "--output", "json"]);
    assert!(status.success() && printed.contains("money.prices/unpriced"), "{printed}");
    assert!(printed.contains("LLAMAPARSE_PRICES lacks cost_effective"), "{printed}");
}
