//! Uploads, replacement and searches during a change of model, and the drill of a dead provider.

use serde_json::json;

use super::{ACTIVE, KEY, LACKING, NEW, OLD, TO_HERON, World, book, world};
use crate::{
    check::check,
    replace::put,
    support::fakes::embeddings::{Embeddings, Fault},
};

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_come_or_are_replaced_during_a_run_are_searched_at_once_and_caught_up_before_the_switch() {
    let world = world(&[]).await;
    let _worker = world.fleet.worker();
    let replaced = world.complete("lamps", &book("lamp", 6)).await;
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    world.reembeds(&["status", "--wait", "60"]);
    world.complete("boats", &book("boat", 3)).await;
    let changed = format!("{}# Whales\n\nThe whale sings below twenty hertz.\n", book("lamp", 6));
    let answer = put(&world.client, &replaced, "lamps.md", "text/markdown", changed.as_bytes()).await;
    let job = answer.body["job_id"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned();
    assert_eq!(world.client.wait_for_end(&job).await["status"], "complete");
    for (query, word) in [("boats of boat house 2", "boat house 2"), ("whale sings", "twenty hertz")] {
        let found = world.search(query, "hybrid").await;
        assert!(found["hits"][0]["text"].as_str().unwrap().contains(word), "{found}");
        assert_eq!(found["model"], OLD);
    }
    world.reembeds(&["status", "--wait", "60"]);
    assert_eq!(world.test.value(LACKING).await, "0");
    assert_eq!(world.service.units().len(), 6 + 3 + 1, "what did not change is not bought again");
    world.reembeds(&["switch", "--without-questions"]);
    world.wait_for_search_by(NEW).await;
    let job = world.client.upload_text("harbours", &book("harbour", 2)).await;
    assert_eq!(world.client.wait_for_end(&job).await["status"], "complete");
    let models = "SELECT DISTINCT c.embed_model FROM upload_pipeline.document_chunks AS c
        JOIN upload_pipeline.documents AS d ON d.document_id = c.document_id WHERE d.filename LIKE 'harbours%'";
    assert_eq!(world.test.rows(models).await, [[NEW]]);
    // A way back finds them by words until the workers have made their vectors of the model before.
    let printed = world.reembeds(&["rollback"]);
    assert!(printed.contains("2 passages have come since the switch"), "{printed}");
    let old = "SELECT count(*) FROM upload_pipeline.chunk_vectors WHERE embed_model = 'all-MiniLM-L6-v2'";
    world.wait_for(old, "2").await;
    world.wait_for_search_by(OLD).await;
    let found = world.search("Who counts the boats of harbour house 1?", "vector").await;
    assert!(found["hits"][0]["text"].as_str().unwrap().contains("harbour house 1"), "{found}");
    world.let_all_follow().await;
    world.reembeds(&["finish"]);
    assert_eq!(world.models_in_rows().await, [[OLD, "384"]]);
    let (_, verified, stderr) = world.fleet.run(&["verify", "--all"]);
    assert!(verified.contains("everything fits"), "{verified}{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_at_any_moment_of_a_switch_finds_passages_by_one_of_the_models() {
    let world = world(&[]).await;
    let _worker = world.fleet.worker();
    world.complete("lamps", &book("lamp", 8)).await;
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    world.reembeds(&["status", "--wait", "60"]);
    let (client, stop) = (world.client.clone(), tokio_util::sync::CancellationToken::new());
    let stopped = stop.clone();
    let searches = tokio::spawn(async move {
        let mut models = Vec::new();
        while !stopped.is_cancelled() {
            let question = json!({ "query": "Who counts the boats of lamp house 5?", "mode": "vector" });
            let (status, found) = client.post("/search", question).await;
            assert_eq!(status, 200, "{found}");
            assert!(found["hits"][0]["text"].as_str().unwrap_or_default().contains("house 5"), "{found}");
            let model = found["model"].as_str().unwrap().to_owned();
            if models.last() != Some(&model) {
                models.push(model);
            }
        }
        models
    });
    world.reembeds(&["switch", "--without-questions"]);
    world.wait_for_search_by(NEW).await;
    world.reembeds(&["rollback"]);
    world.wait_for_search_by(OLD).await;
    world.reembeds(&["switch", "--without-questions"]);
    world.wait_for_search_by(NEW).await;
    world.let_all_follow().await;
    world.reembeds(&["finish"]);
    stop.cancel();
    assert_eq!(searches.await.unwrap(), [OLD, NEW, OLD, NEW]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_provider_is_left_behind_and_searches_go_by_words_until_the_switch() {
    let test = crate::support::db::TestDb::new().await;
    let mut fleet = crate::support::fleet::Fleet::new(&test.url, &test.url);
    let service = Embeddings::start(NEW, 512);
    for (name, value) in [("EMBED_PROVIDER", "openai"), ("EMBED_MODEL", NEW), ("OPENAI_API_KEY", KEY)] {
        fleet.set(name, value);
    }
    fleet.set("OPENAI_API_URL", &service.url());
    fleet.set("EMBED_QUERY_TIMEOUT", "1");
    let (api, client) = fleet.api();
    let world = World { test, fleet, client, service, _api: api };
    let mut worker = world.fleet.worker();
    world.complete("lamps", &book("lamp", 4)).await;
    // The provider has switched the model off for good, and a document has stopped the worker.
    world.service.set(|behaviour| behaviour.model = "another".to_owned());
    let waiting = world.client.upload_text("boats", &book("boat", 2)).await;
    worker.wait_for("not claiming until this is mended");
    let found = world.search("keeper of lamp house 2", "hybrid").await;
    assert_eq!((&found["mode"], &found["model"]), (&json!("text"), &json!(null)), "{found}");
    assert!(!found["hits"].as_array().unwrap().is_empty());
    world.reembeds(&["start", "--model", OLD]);
    worker.wait_for("mended; claiming again");
    world.reembeds(&["status", "--wait", "60"]);
    let (_, job) = world.client.get(&format!("/jobs/{waiting}")).await;
    assert_eq!((&job["terminal"], &job["retry_count"]), (&json!(false), &json!(0)), "{job}");
    let questions = r#"{"question": "Who counts the boats of lamp house 2?", "answers": [{"text": "lamp house 2 counts the boats"}]}"#;
    let questions = world.fleet.file("golden.jsonl", questions.as_bytes());
    let printed =
        world.reembeds(&["switch", "--questions", questions.to_str().unwrap(), "--user", crate::support::fleet::USER]);
    assert!(printed.contains("cannot be asked, so only the new model is measured"), "{printed}");
    world.wait_for_search_by(OLD).await;
    world
        .test
        .run("UPDATE upload_pipeline.upload_jobs SET run_at = now() WHERE state = 'queued'; NOTIFY upload_jobs")
        .await;
    let ended = world.client.wait_for_end(&waiting).await;
    assert_eq!((&ended["status"], &ended["retry_count"]), (&json!("complete"), &json!(0)), "{ended}");
    assert_eq!(world.test.value(ACTIVE).await, OLD);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_new_model_stops_no_document_and_is_named() {
    let world = world(&[]).await;
    world.service.set(|behaviour| behaviour.key = Some(KEY.to_owned()));
    let mut worker = world.fleet.worker();
    world.complete("lamps", &book("lamp", 4)).await;
    for (code, fault) in [
        ("embed_service_no_quota", Some(Fault::NoQuota)),
        ("embed_service_key_refused", None),
        ("model_dimension", Some(Fault::Dimension)),
    ] {
        assert_eq!(worker.stop(), 0);
        world.service.set(|behaviour| (behaviour.always, behaviour.key) = (None, None));
        world.reembeds(&[&["start"][..], &TO_HERON].concat());
        world.service.set(|behaviour| {
            behaviour.always = fault;
            behaviour.key = Some(if fault.is_some() { KEY.to_owned() } else { "sk-another".to_owned() });
        });
        let waits = format!(
            "SELECT bool_or(progress -> 'waits_for' ->> 'code' = '{code}') FROM upload_pipeline.upload_jobs WHERE document_id IS NULL"
        );
        worker = world.fleet.worker();
        world.complete(code, &book(code, 2)).await;
        world.wait_for(&waits, "t").await;
        let status = world.reembeds(&["status"]);
        assert!(status.contains(&format!("problem   {code}: ")) && !status.contains(KEY), "{status}");
        let checked = check(&world.fleet, &["--only", "db.reembed", "--strict"]);
        let finding = checked.requires("db.reembed/stands_still");
        assert!(finding["observed"].as_str().unwrap().contains(code), "{finding}");
    }
    world.service.set(|behaviour| (behaviour.always, behaviour.key) = (None, None));
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    world.reembeds(&["status", "--wait", "60"]);
    assert_eq!(world.test.value(LACKING).await, "0");
    assert_eq!(check(&world.fleet, &["--only", "db.reembed", "--strict"]).causes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_waits_goes_before_a_run_that_has_the_only_slot() {
    let world = world(&[("WORKER_CONCURRENCY", "1"), ("WORKER_TURN", "0.5")]).await;
    let worker = world.fleet.worker();
    world.complete("lamps", &book("lamp", 40)).await;
    assert_eq!(worker.stop(), 0);
    world.reembeds(&[&["start"][..], &TO_HERON, &["--passages-per-minute", "120"]].concat());
    let _worker = world.fleet.worker();
    world.service.wait_for_requests(1).await;
    world.complete("boats", &book("boat", 1)).await;
    let left: i64 = world.test.value(LACKING).await.parse().unwrap();
    assert!(left >= 20, "the document waited until {left} passages were left");
    world.reembeds(&["finish", "--discard"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_run_share_the_documents_and_run_beside_each_other() {
    let world = world(&[("WORKER_CONCURRENCY", "4"), ("MAX_RUNNING_JOBS_PER_USER", "1")]).await;
    let worker = world.fleet.worker();
    for n in 0..12 {
        world.complete(&format!("lamps {n}"), &book(&format!("lamp{n}"), 2)).await;
    }
    assert_eq!(worker.stop(), 0);
    world.reembeds(&[&["start"][..], &TO_HERON, &["--jobs", "3"]].concat());
    world.service.set(|behaviour| behaviour.holds = true);
    let _worker = world.fleet.worker();
    let working = "SELECT count(*) FROM upload_pipeline.upload_jobs WHERE document_id IS NULL AND state = 'working'";
    world.wait_for(working, "3").await;
    world.service.set(|behaviour| behaviour.holds = false);
    world.reembeds(&["status", "--wait", "60"]);
    let mut units = world.service.units();
    units.sort_unstable();
    units.dedup();
    assert_eq!((units.len(), world.service.units().len()), (24, 24), "each passage is bought once");
    assert_eq!(world.test.value(LACKING).await, "0");
}
