//! What is refused has a code, says what to do, and changes nothing.

use uuid::Uuid;

use super::{ACTIVE, NEW, OLD, TO_HERON, book, world};
use crate::support::fleet::USER;

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_begun_is_refused_before_anything_is_written() {
    let mut world = world(&[]).await;
    world.refuses(&["start", "--model", NEW, "--provider", "openai"], "reembed_no_model");
    for action in ["switch --without-questions", "rollback", "finish"] {
        world.refuses(&action.split(' ').collect::<Vec<_>>(), "reembed_not_running");
    }
    let worker = world.fleet.worker();
    world.complete("lamps", &book("lamp", 3)).await;
    assert_eq!(worker.stop(), 0);
    world.refuses(&["plan", "--model", OLD], "reembed_same_model");
    let refusal = world.refuses(&["start", "--model", "no-such-folder"], "no-such-folder");
    assert!(refusal.contains("is in none of these folders"), "{refusal}");
    world.service.set(|behaviour| behaviour.key = Some("sk-another".to_owned()));
    let refusal = world.refuses(&[&["start"][..], &TO_HERON].concat(), "OPENAI_API_KEY");
    assert!(!refusal.contains(super::KEY), "{refusal}");
    world.service.set(|behaviour| behaviour.key = None);
    world.refuses(&["start", "--model", "unknown", "--provider", "openai"], "unknown");
    world.fleet.unset("OPENAI_API_KEY");
    world.fleet.unset("OPENAI_API_URL");
    world.refuses(&[&["start"][..], &TO_HERON].concat(), "OPENAI_API_KEY");
    assert_eq!(world.test.value("SELECT count(*) FROM upload_pipeline.model_switch").await, "0");
    assert_eq!(
        world.test.value("SELECT count(*) FROM upload_pipeline.upload_jobs WHERE document_id IS NULL").await,
        "0"
    );
    assert!(world.service.units().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_is_refused_out_of_its_turn() {
    let world = world(&[]).await;
    let worker = world.fleet.worker();
    world.complete("lamps", &book("lamp", 3)).await;
    assert_eq!(worker.stop(), 0);
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    world.refuses(&["start", "--model", "multilingual-e5-small"], "reembed_running");
    world.refuses(&["switch", "--without-questions"], "reembed_incomplete");
    world.refuses(&["rollback"], "reembed_nothing_to_do");
    world.refuses(&["finish"], "reembed_not_switched");
    let _worker = world.fleet.worker();
    world.reembeds(&["status", "--wait", "60"]);
    let old =
        "INSERT INTO upload_pipeline.workers (id, host, commit, branch, version, schema_version, environment, slots)
        VALUES ('22222222-2222-4222-8222-222222222222', 'old', 'c', 'b', '0', 14, 'development', 1)";
    world.test.run(old).await;
    let refusal = world.refuses(&["switch", "--without-questions"], "reembed_old_workers");
    assert!(refusal.contains("A worker of an earlier build runs"), "{refusal}");
    world.test.run("DELETE FROM upload_pipeline.workers WHERE host = 'old'").await;
    assert_eq!(world.test.value(ACTIVE).await, OLD);
    world.reembeds(&["switch", "--without-questions"]);
    world.refuses(&["switch", "--without-questions"], "reembed_nothing_to_do");
    world.reembeds(&["rollback"]);
    world.let_all_follow().await;
    world.reembeds(&["finish"]);
    world.refuses(&["finish"], "reembed_not_running");
    assert_eq!(world.models_in_rows().await, [[OLD, "384"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_never_switched_to_can_be_given_up() {
    let world = world(&[]).await;
    let _worker = world.fleet.worker();
    world.complete("lamps", &book("lamp", 3)).await;
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    world.reembeds(&["status", "--wait", "60"]);
    world.let_all_follow().await;
    world.reembeds(&["finish", "--discard"]);
    assert_eq!(world.test.value("SELECT count(*) FROM upload_pipeline.chunk_vectors").await, "0");
    assert_eq!(
        (world.models_in_rows().await, world.test.value(ACTIVE).await),
        (vec![vec![OLD.to_owned(), "384".to_owned()]], OLD.to_owned())
    );
    world.wait_for_search_by(OLD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_finds_less_on_the_golden_questions_is_not_switched_to() {
    let world = world(&[]).await;
    let _worker = world.fleet.worker();
    world.complete("lamps", &book("lamp", 30)).await;
    let words = ["plankton", "locomotive", "riverbank"];
    for word in words {
        world.complete(word, &format!("# {word}\n\nHere the {word} is told of.\n")).await;
    }
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    world.reembeds(&["status", "--wait", "60"]);
    let line =
        |word: &str| format!(r#"{{"question": "Where is the {word} told of?", "answers": [{{"text": "{word}"}}]}}"#);
    let questions: Vec<String> = words.map(line).into();
    let questions = world.fleet.file("golden.jsonl", questions.join("\n").as_bytes());
    let switch = ["switch", "--questions", questions.to_str().unwrap(), "--user", USER];
    // The passages that answer point away from everything.
    let turned = "UPDATE upload_pipeline.chunk_vectors AS b
        SET embedding = (SELECT array_agg(-x.n ORDER BY x.i)::real[]::vector FROM unnest(b.embedding::real[]) WITH ORDINALITY AS x (n, i))
        FROM upload_pipeline.document_chunks AS c WHERE c.chunk_sha = b.chunk_sha AND c.text LIKE '%told of%'";
    world.test.run(turned).await;
    let refusal = world.refuses(&switch, "reembed_finds_less");
    assert!(refusal.contains("hit@10 by meaning falls from 1.000"), "{refusal}");
    assert_eq!(world.test.value(ACTIVE).await, OLD);
    let (_, stdout, _) = world.reembed(&[&switch[..], &["--may-lose", "1"]].concat());
    assert!(stdout.contains("MEASURE") && stdout.contains("switched"), "{stdout}");
    let stranger = Uuid::nil().to_string();
    world.reembeds(&["rollback"]);
    let stdout = world.reembeds(&["switch", "--questions", questions.to_str().unwrap(), "--user", &stranger]);
    assert!(stdout.contains("0.000"), "{stdout}");
}
