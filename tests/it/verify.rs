//! `app verify`: each kind of damage is found and named, and nothing else.

use serde_json::Value;

use crate::support::{
    db::TestDb,
    fleet::{Client, Fleet},
};

const TEXT: &str =
    "# Whales\n\nThe blue whale sings below twenty hertz.\n\n# Ferries\n\nThe captain hears the harbour bell.\n";

struct World {
    test: TestDb,
    fleet: Fleet,
    document: String,
    other: String,
}

/// Two complete documents.
async fn world() -> World {
    let test = TestDb::new().await;
    let fleet = Fleet::new(&test.url, &test.url);
    let (_api, client) = fleet.api();
    let _worker = fleet.worker();
    let document = complete(&client, "whales", TEXT).await;
    let other = complete(&client, "other", "# Other\n\nNobody harms this one.\n").await;
    World { test, fleet, document, other }
}

async fn complete(client: &Client, title: &str, text: &str) -> String {
    let job = client.upload_text(title, text).await;
    let job = client.wait_for_end(&job).await;
    assert_eq!(job["status"], "complete", "{job}");
    job["document_id"].as_str().unwrap().to_owned()
}

impl World {
    /// The codes that `app verify --all` finds, each of the one document, after the statement.
    async fn found(&self, sql: &str) -> Vec<String> {
        self.test.run(sql).await;
        let (status, stdout, stderr) = self.fleet.run(&["verify", "--all", "--output", "json"]);
        let answer: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
        assert_eq!((&answer["documents"], &answer["embedded_again"]), (&2.into(), &true.into()), "{answer}");
        let findings = answer["findings"].as_array().unwrap();
        assert_eq!(status.code(), Some(i32::from(!findings.is_empty())), "{answer}");
        let mut codes: Vec<String> = Vec::new();
        for finding in findings {
            assert_eq!(finding["document_id"], self.document.as_str(), "{finding}");
            assert!(!finding["fix"].as_str().unwrap().is_empty());
            codes.push(finding["code"].as_str().unwrap().to_owned());
        }
        codes
    }

    async fn stored(&self, column: &str) -> std::path::PathBuf {
        let sql = format!("SELECT {column} FROM upload_pipeline.documents WHERE document_id = '{}'", self.document);
        self.fleet.storage().join(self.test.value(&sql).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damage_to_rows_and_vectors_is_named() {
    let world = world().await;
    assert!(world.found("SELECT 1").await.is_empty());
    let chunks = format!(
        "UPDATE upload_pipeline.document_chunks SET $ WHERE document_id = '{}' AND chunk_ord = 0",
        world.document
    );
    let set = |what: &str| chunks.replace('$', what);
    world.test.run("CREATE TABLE kept AS SELECT * FROM upload_pipeline.document_chunks").await;
    let back = "UPDATE upload_pipeline.document_chunks AS c SET text = k.text, chunk_sha = k.chunk_sha, embedding = k.embedding, \
                embed_version = k.embed_version FROM kept AS k WHERE c.chunk_id = k.chunk_id";
    for (damage, code) in [
        ("text = text || ' more'", "passages_differ"),
        ("embedding = NULL", "vectors_missing"),
        ("embedding = (SELECT array_agg(2 * x)::real[]::vector FROM unnest(embedding::real[]) AS x)", "vectors_differ"),
        ("embedding = (SELECT array_agg(-x)::real[]::vector FROM unnest(embedding::real[]) AS x)", "vectors_differ"),
    ] {
        let found = world.found(&set(damage)).await;
        assert_eq!(found.first().map(String::as_str), Some(code), "{damage}: {found:?}");
        world.test.run(back).await;
    }
    assert!(world.found(back).await.is_empty());
    let record = format!(
        "UPDATE upload_pipeline.documents SET record = record || '{{\"failed\": 3}}' WHERE document_id = '{}'",
        world.document
    );
    assert_eq!(world.found(&record).await, ["record_mismatch"]);
    let judgement = format!(
        "INSERT INTO upload_pipeline.search_questions (question_id, user_id, question)
         SELECT d.document_id, gen_random_uuid(), 'whose?' FROM upload_pipeline.documents AS d WHERE d.document_id = '{0}';
         INSERT INTO upload_pipeline.search_judgements (judgement_id, question_id, user_id, document_id, page, verdict)
         SELECT gen_random_uuid(), d.document_id, d.user_id, d.document_id, 1, 'right'
         FROM upload_pipeline.documents AS d WHERE d.document_id = '{0}'",
        world.document
    );
    assert_eq!(world.found(&judgement).await, ["record_mismatch", "judgement_misplaced"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damage_to_stored_files_is_named_for_a_person_too() {
    let world = world().await;
    let (raw, markdown) = (world.stored("raw_path").await, world.stored("parsed_path").await);
    let original = std::fs::read(&raw).unwrap();
    std::fs::write(&raw, TEXT.replace("blue", "grey")).unwrap();
    assert_eq!(world.found("SELECT 1").await, ["file_changed"]);
    std::fs::remove_file(&raw).unwrap();
    std::fs::write(&markdown, "# Another text\n").unwrap();
    assert_eq!(world.found("SELECT 1").await, ["file_lost", "markdown_changed"]);
    std::fs::remove_file(&markdown).unwrap();
    std::fs::write(&raw, original).unwrap();

    let (status, stdout, stderr) = world.fleet.run(&["verify", &world.document, &world.other]);
    assert_eq!(status.code(), Some(1), "{stderr}");
    let wanted = format!(
        "{}  markdown_lost  the markdown is not in the object store. Read it again: `app jobs retry",
        world.document
    );
    assert!(stdout.contains(&wanted) && stdout.ends_with("2 documents looked at: 1 findings\n"), "{stdout}");
    let (status, stdout, _) = world.fleet.run(&["verify", &world.other]);
    assert!(status.success() && stdout.ends_with("everything fits\n"), "{stdout}");
    let (status, stdout, _) = world.fleet.run(&["verify", "01890000-0000-7000-8000-000000000000"]);
    assert!(status.code() == Some(1) && stdout.contains("document_not_found"), "{stdout}");
}
