//! The steps of docs/operations.md, "Changing the embedding model", each run as written.

use super::{ACTIVE, KEY, book};
use crate::support::{
    db::TestDb,
    fakes::embeddings::Embeddings,
    fleet::{Fleet, USER},
};

const MINILM: &str = "all-MiniLM-L6-v2";
const E5: &str = "multilingual-e5-small";
const OPENAI: &str = "text-embedding-3-small";

/// The lines of the section's blocks, block by block.
fn blocks() -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let (_, section) = page.split_once("### Changing the embedding model\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    section.split("```\n").skip(1).step_by(2).map(|block| block.lines().map(str::to_owned).collect()).collect()
}

/// Cuts a line of a shell; words in quotes stay together.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(n, part)| match n % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_system_is_switched_from_minilm_to_e5_to_openai_and_back_by_the_documented_steps() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    let service = Embeddings::start(OPENAI, 1536);
    let models = std::env::var("APP_E5_DIR").expect("scripts/test sets APP_E5_DIR");
    let models = std::path::Path::new(&models).parent().unwrap().to_str().unwrap().to_owned();
    for (name, value) in [("OPENAI_API_KEY", KEY), ("OPENAI_API_URL", &service.url()), ("EMBED_MODEL_DIR", &models)] {
        fleet.set(name, value);
    }
    let (_api, client) = fleet.api();
    fleet.set("APP_URL", &client.root);
    fleet.set("APP_TOKEN", &client.token);
    let _worker = fleet.worker();
    let job = client.upload_text("lamps", &book("lamp", 6)).await;
    assert_eq!(client.wait_for_end(&job).await["status"], "complete");
    let question = |n: usize| {
        format!(
            r#"{{"question": "Who counts the boats of lamp house {n}?", "answers": [{{"text": "keeper of lamp house {n} counts"}}]}}"#
        )
    };
    fleet.file("golden.jsonl", [question(1), question(2)].join("\n").as_bytes());
    let blocks = blocks();
    assert_eq!(blocks.len(), 3);
    assert_eq!(test.value(ACTIVE).await, MINILM);
    for (block, model) in blocks.iter().zip([E5, OPENAI, MINILM]) {
        for line in block {
            let words = words(line);
            assert_eq!(words[0], "app", "{line}");
            if let Some(user) = words.iter().position(|word| word == "--user") {
                assert_eq!(words[user + 1], USER);
            }
            let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            let (status, stdout, stderr) = fleet.run(&arguments);
            assert!(status.success(), "{line}: {stdout}{stderr}");
            if words[1] == "search" {
                assert!(stdout.contains("boats"), "{stdout}");
            }
        }
        assert_eq!(test.value(ACTIVE).await, model);
        let stored = "SELECT DISTINCT embed_model FROM upload_pipeline.document_chunks";
        assert_eq!(test.rows(stored).await, [[model]]);
    }
    assert_eq!(service.units().len(), 6 + 2 + 2, "each passage is bought once, and each question asked twice");
}
