//! Judgements of hits: kept by place, listed, deleted, and measured by `app eval` and `app check`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    check::check,
    support::{
        db::TestDb,
        fleet::{App, Client, Fleet},
    },
};

const OTHER: &str = "22222222-2222-4222-8222-222222222222";
const QUESTION: &str = "How often does the lamp turn?";

struct World {
    test: TestDb,
    fleet: Fleet,
    client: Client,
    document: String,
    /// The first hit of [`QUESTION`].
    hit: Value,
    _apps: (App, App),
}

async fn world() -> World {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let (api, client) = fleet.api();
    let worker = fleet.worker();
    fleet.set("APP_URL", &client.root);
    fleet.set("APP_TOKEN", &client.token);
    let text = "# Lighthouse\n\nThe lamp turns once in twelve seconds.\n\n# Keeper\n\nThe keeper's spare key hangs behind the stove.\n";
    let job = client.upload_text("lighthouse", text).await;
    let job = client.wait_for_end(&job).await;
    assert_eq!(job["status"], "complete", "{job}");
    let (_, found) = client.post("/search", json!({ "query": QUESTION })).await;
    let hit = found["hits"][0].clone();
    assert!(hit["text"].as_str().unwrap().contains("twelve"), "{found}");
    let document = job["document_id"].as_str().unwrap().to_owned();
    World { test, fleet, client, document, hit, _apps: (api, worker) }
}

impl World {
    async fn judge(&self, place: Value, verdict: &str) -> (u16, Value) {
        let mut body = json!({ "query": QUESTION, "document_id": self.document, "verdict": verdict });
        body.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
        self.client.post("/search/judgements", body).await
    }

    async fn list(&self, client: &Client, query: &str) -> Value {
        let (status, page) = client.get(&format!("/search/judgements{query}")).await;
        assert_eq!(status, 200, "{page}");
        page
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judged_hit_is_kept_by_its_words_once_and_only_for_its_user() {
    let world = world().await;
    let (status, first) = world.judge(json!({ "chunk_id": world.hit["chunk_id"] }), "wrong").await;
    assert_eq!((status, &first["text"]), (200, &world.hit["text"]), "{first}");
    let (_, again) = world.judge(json!({ "chunk_id": world.hit["chunk_id"] }), "right").await;
    assert_eq!(again["judgement_id"], first["judgement_id"], "the same place has one judgement");
    let (_, page) = world.judge(json!({ "page": 1 }), "wrong").await;
    let listed = world.list(&world.client, "").await;
    let verdicts: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| item["verdict"].clone()).collect();
    assert_eq!(verdicts, ["wrong", "right"], "{listed}");
    let one = world.list(&world.client, "?limit=1").await;
    let next = world.list(&world.client, &format!("?limit=1&cursor={}", one["next_cursor"].as_str().unwrap())).await;
    assert_eq!((&next["items"][0]["judgement_id"], &next["next_cursor"]), (&first["judgement_id"], &Value::Null));

    let other = world.client.as_user(OTHER);
    assert_eq!(world.list(&other, "").await["items"], json!([]));
    let theirs = json!({ "query": QUESTION, "document_id": world.document, "page": 1, "verdict": "right" });
    let (status, refused) = other.post("/search/judgements", theirs).await;
    assert_eq!((status, &refused["code"]), (404, &json!("document_not_found")), "{refused}");
    let path = format!("/search/judgements/{}", page["judgement_id"].as_str().unwrap());
    assert_eq!(other.send(Method::DELETE, &path, None).await.0, 404);
    assert_eq!(world.client.send(Method::DELETE, &path, None).await.0, 204);
    let (status, gone) = world.client.send(Method::DELETE, &path, None).await;
    assert_eq!((status, &gone["code"]), (404, &json!("judgement_not_found")), "{gone}");
    assert_eq!(world.list(&world.client, "").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judgement_without_a_place_or_with_one_that_cannot_be_is_refused_with_what_is_allowed() {
    let world = world().await;
    for (place, says) in [
        (json!({}), "`chunk_id` alone"),
        (json!({ "page": 1, "chunk_id": world.hit["chunk_id"] }), "`chunk_id` alone"),
        (json!({ "page": 0 }), "from 1"),
        (json!({ "page": 1_000_001 }), "1000000"),
        (json!({ "text": " " }), "empty"),
        (json!({ "text": "a\u{0}" }), "NUL"),
        (json!({ "text": "a".repeat(4001) }), "4000"),
        (json!({ "chunk_id": uuid::Uuid::nil() }), "Search again"),
    ] {
        let (status, refused) = world.judge(place.clone(), "right").await;
        assert_eq!((status, &refused["code"]), (422, &json!("judgement_invalid")), "{place}: {refused}");
        assert!(refused["detail"].as_str().unwrap().contains(says), "{place}: {refused}");
    }
    let (status, refused) = world.judge(json!({ "page": 1 }), "perhaps").await;
    assert_eq!(status, 400, "{refused}");
    assert_eq!(world.test.value("SELECT count(*) FROM upload_pipeline.search_questions").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_questions_are_measured_also_after_the_document_was_cut_into_other_passages() {
    let world = world().await;
    let (status, _, stderr) = world.fleet.run(&["eval", "--stored"]);
    assert!(status.code() == Some(1) && stderr.contains("POST /search/judgements"), "{stderr}");
    world.judge(json!({ "chunk_id": world.hit["chunk_id"] }), "right").await;
    // Other chunks, with the same words and more.
    world
        .test
        .run("UPDATE upload_pipeline.document_chunks SET chunk_id = gen_random_uuid(), text = 'Before. ' || text || ' Behind.'")
        .await;
    let (status, stdout, stderr) = world.fleet.run(&["eval", "--stored", "--json", "--at-least", "hit@1=1"]);
    assert!(status.success(), "{stdout}{stderr}");
    // The same place, judged again: what was right is wrong now.
    let (status, judged) = world.judge(json!({ "text": world.hit["text"] }), "wrong").await;
    assert_eq!(status, 200, "{judged}");
    let (status, stdout, stderr) = world.fleet.run(&["eval", "--stored", "--json", "--mode", "text"]);
    assert!(status.success(), "{stdout}{stderr}");
    let figures: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    let value =
        |name: &str| figures.iter().find(|figure| figure["measure"] == name).map(|figure| figure["value"].clone());
    assert_eq!((value("wrong@5"), value("precision'@10"), value("hit@5")), (Some(json!(1.0)), Some(json!(0.0)), None));
    let deleted = world.client.send(Method::DELETE, &format!("/documents/{}", world.document), None).await;
    assert_eq!(deleted.0, 202);
    assert_eq!(world.list(&world.client, "").await["items"], json!([]), "it goes with the document");
}

#[tokio::test(flavor = "multi_thread")]
async fn app_check_fails_where_search_finds_fewer_answers_than_asked_and_says_which_measure() {
    let world = world().await;
    let question = |file: &str| {
        let line = json!({ "question": QUESTION, "answers": [{ "file": file, "text": "once in twelve seconds" }] });
        let name = format!("{file}.jsonl");
        world.fleet.file(&name, format!("{line}\n").as_bytes()).to_str().unwrap().to_owned()
    };
    let name = world.hit["filename"].as_str().unwrap();
    let run = |file: &str, more: &[&str]| {
        check(&world.fleet, &[&["--only", "search.recall", "--recall", file], more].concat())
    };
    let passed = run(&question(name), &[]);
    assert!(passed.status.success(), "{:#}", passed.report);
    assert_eq!(passed.one("search.recall")["observed"], "hit@5 1.000 over 1 questions");
    let failed = run(&question("another.md"), &["--at-least", "MRR=0.5"]);
    let finding = failed.requires("search.recall/below");
    assert_eq!(finding["observed"], "MRR by both is 0.000, below 0.5", "{finding}");
    run("/nonexistent.jsonl", &[]).requires("search.recall/not_measured");
    run(&question(name), &["--at-least", "hits=1"]).requires("search.recall/not_measured");
}
