//! Searching: the index on words, the packed vectors, and how both are filled for documents from before them.

mod in_sql;
mod rerank;
mod vectors;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    Code, DocumentId, Failure, UserId,
    ports::{Chunker, EmbedModel, Embedder, ModelSource},
};
use search::{Around, Query, VectorCache, search};
use store::search::{Candidate, Extent, SearchIn, get_extent, search_text, search_vectors};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::support::db::{TestDb, target};

const USER: UserId = UserId(Uuid::from_u128(1));
const OTHER: UserId = UserId(Uuid::from_u128(2));

fn within(user: UserId) -> SearchIn<'static> {
    SearchIn { user, documents: None, limit: 50 }
}

/// No model: every search is by words.
struct NoModel;

#[async_trait]
impl ModelSource for NoModel {
    async fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure> {
        Err(Failure::new(Code::EmbedderUnavailable, "there is no model here"))
    }
    async fn chunker(&self) -> Result<Arc<dyn Chunker>, Failure> {
        Err(Failure::new(Code::EmbedderUnavailable, "there is no model here"))
    }
}

fn by_words(user: UserId, text: &str) -> Query<'_> {
    Query::of(user, text, false, true)
}

/// File name and place of each hit.
async fn found(test: &TestDb, query: Query<'_>) -> Vec<String> {
    let found = search(&test.db, &NoModel, &VectorCache::new(0), None, query).await.unwrap();
    let shown = |hit: &search::Hit| format!("{} {}", hit.passage.chunk.filename, hit.passage.chunk.ord);
    found.hits.iter().map(shown).collect()
}

/// A complete document with these passages, which is in no index yet.
async fn add(test: &TestDb, user: UserId, filename: &str, passages: &[&str]) -> DocumentId {
    let id = Uuid::new_v4();
    test.run(&format!(
        "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, processing_status)
         VALUES ('{id}', '{user}', '{filename}', 'text/markdown', 1, '{id}', 'raw/x', 'complete')"
    ))
    .await;
    for (ord, text) in passages.iter().enumerate() {
        test.run(&format!(
            "INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text, chunk_sha)
             VALUES (gen_random_uuid(), '{id}', 'm', '1', {ord}, '{}', 'x')",
            text.replace('\'', "''")
        ))
        .await;
    }
    DocumentId(id)
}

async fn fill(test: &TestDb) -> u64 {
    housekeeping::words::fill(&test.db, Duration::from_secs(600)).await.unwrap()
}

const PASSAGES: [&str; 4] = [
    "The insurance covers water damage of up to $1,577.00, error ERR-4012.",
    "Burst pipes are covered, if the house was heated.",
    "Pipes that burst in an empty house are not covered.",
    "La déclaration est faite par l'assuré.",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_look_ups_of_found_passages_give_nothing_of_other_users() {
    let test = TestDb::new().await;
    add(&test, USER, "policy.md", &PASSAGES).await;
    fill(&test).await;
    let rows = "(SELECT count(*) FROM upload_pipeline.search_hits(u, (SELECT array_agg(chunk_id) FROM upload_pipeline.document_chunks))),
      (SELECT count(*) FROM upload_pipeline.search_places(u, array[s.document_no, s.document_no], array[0, 3])),
      (SELECT count(*) FROM upload_pipeline.search_cosines(u, array[1, 0]::real[], 'm', '1', array[s.document_no], array[0], 10))";
    test.run("UPDATE upload_pipeline.document_chunks SET embedding = '[1,0]', vector_dim = 2, embed_model = 'm', embed_version = '1'")
        .await;
    for (user, expected) in [(USER, ["4", "2", "1"]), (OTHER, ["0", "0", "0"])] {
        let asked =
            format!("SELECT {rows} FROM upload_pipeline.search_documents AS s, (SELECT '{user}'::uuid) AS asked (u)");
        assert_eq!(test.rows(&asked).await, [expected], "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_numbers_and_identifiers_are_found_in_any_language_and_only_the_caller_s() {
    let test = TestDb::new().await;
    add(&test, USER, "policy_2018.md", &PASSAGES).await;
    add(
        &test,
        USER,
        "kuendigung.md",
        &["Die Kündigungsfristen betragen drei Monate, wenn der Vertrag mit der Versicherung nichts anderes sagt."],
    )
    .await;
    add(&test, USER, "合同.md", &["这份保险合同涵盖水造成的损失。"]).await;
    add(&test, OTHER, "other.md", &["The insurance of another user covers pipes."]).await;
    assert_eq!(fill(&test).await, 4);
    assert_eq!(fill(&test).await, 0, "nothing is left to do");
    for (question, expected) in [
        ("pipe", vec!["policy_2018.md 1", "policy_2018.md 2"]),
        ("1577", vec!["policy_2018.md 0"]),
        ("4012", vec!["policy_2018.md 0"]),
        ("err-4012", vec!["policy_2018.md 0"]),
        ("Kundigungsfrist", vec!["kuendigung.md 0"]),
        ("保险", vec!["合同.md 0"]),
        ("declaration assure", vec!["policy_2018.md 3"]),
        ("\"burst pipes\"", vec!["policy_2018.md 1"]),
        ("pipes -empty", vec!["policy_2018.md 1"]),
        ("covers filename:2018", vec!["policy_2018.md 0", "policy_2018.md 1", "policy_2018.md 2"]),
        ("covers filename:2019", vec![]),
        ("giraffe", vec![]),
        ("😀 *?!", vec![]),
    ] {
        let mut hits = found(&test, by_words(USER, question)).await;
        hits.sort();
        assert_eq!(hits, expected, "{question}");
    }
    let of_other = found(&test, by_words(OTHER, "insurance pipes house")).await;
    assert_eq!(of_other, ["other.md 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_the_document_counts_for_each_of_its_passages() {
    let test = TestDb::new().await;
    for year in 2015..2020 {
        add(&test, USER, &format!("ACME_{year}_10K.md"), &["Net sales were 5.", "Capital expenses were 7."]).await;
    }
    fill(&test).await;
    let hits = found(&test, by_words(USER, "What were the capital expenses of Acme in 2018?")).await;
    assert_eq!(hits[0], "ACME_2018_10K.md 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_score_means_the_same_for_any_question_and_nonsense_finds_nothing() {
    let test = TestDb::new().await;
    let mut passages: Vec<String> =
        (0..40).map(|n| format!("Paragraph {n} is about herons that fish in the sea.")).collect();
    passages.push("The lamp in the lighthouse burns oil.".to_owned());
    add(&test, USER, "sea.md", &passages.iter().map(String::as_str).collect::<Vec<_>>()).await;
    fill(&test).await;
    let scores = |found: search::Found| found.hits.iter().map(|hit| hit.score).collect::<Vec<_>>();
    let sure = scores(
        search(&test.db, &NoModel, &VectorCache::new(0), None, by_words(USER, "lighthouse lamp oil")).await.unwrap(),
    );
    assert!(
        sure[0] > 0.9 && sure.is_sorted_by(|a, b| a >= b) && sure.iter().all(|score| (0.0..=1.0).contains(score)),
        "{sure:?}"
    );
    let nonsense = "quantum chromodynamics fishes lattice gauge symmetry";
    assert!(found(&test, by_words(USER, nonsense)).await.is_empty());
    let all = Query { min_score: Some(0.0), ..by_words(USER, nonsense) };
    assert_eq!(found(&test, all).await.len(), 10);
    let least = Query { min_score: Some(0.9), ..by_words(USER, "lighthouse herons") };
    assert!(
        scores(search(&test.db, &NoModel, &VectorCache::new(0), None, least).await.unwrap())
            .iter()
            .all(|score| *score >= 0.9)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hits_are_put_together_with_neighbours_and_bounded_for_each_document() {
    let test = TestDb::new().await;
    let text = "The lamp burns brightly at night and is lit by the keeper of the light each evening.";
    add(&test, USER, "a.md", &["First.", text, "Last.", "Other.", text]).await;
    add(&test, USER, "b.md", &[text]).await;
    fill(&test).await;
    let question = "lamp keeper";
    assert_eq!(found(&test, by_words(USER, question)).await.len(), 3);
    assert_eq!(found(&test, Query { per_document: Some(1), ..by_words(USER, question) }).await.len(), 2);
    let distinct =
        search(&test.db, &NoModel, &VectorCache::new(0), None, Query { distinct: true, ..by_words(USER, question) })
            .await
            .unwrap();
    assert_eq!((distinct.hits.len(), distinct.hits[0].passage.duplicates), (1, 2));
    let around = Query { around: Some(Around::Next), per_document: Some(1), ..by_words(USER, question) };
    let expanded = search(&test.db, &NoModel, &VectorCache::new(0), None, around).await.unwrap();
    let hit = expanded.hits.iter().find(|hit| hit.passage.chunk.filename == "a.md").unwrap();
    assert!(hit.passage.ord_last - hit.passage.ord_first >= 1 && hit.passage.chunk.text.contains("\n\n"));
    assert!(hit.highlight.contains("**lamp**"), "{}", hit.highlight);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_page_each_hit_is_another_page_with_its_passages() {
    let test = TestDb::new().await;
    let text = "The lamp burns brightly at night and is lit by the keeper of the light each evening.";
    add(&test, USER, "a.pdf", &["First.", text, &format!("{text} Again."), text, "Last."]).await;
    test.run(
        "UPDATE upload_pipeline.document_chunks SET page_first = 1 + chunk_ord / 3, page_last = 1 + chunk_ord / 3",
    )
    .await;
    fill(&test).await;
    assert_eq!(found(&test, by_words(USER, "lamp keeper")).await.len(), 3);
    let by_page = Query { around: Some(Around::Page), ..by_words(USER, "lamp keeper") };
    let found = search(&test.db, &NoModel, &VectorCache::new(0), None, by_page).await.unwrap();
    let mut shown: Vec<_> = found
        .hits
        .iter()
        .map(|hit| {
            (hit.passage.ord_first, hit.passage.ord_last, hit.passage.chunk.page_first, hit.passage.chunk.page_last)
        })
        .collect();
    shown.sort_unstable();
    assert_eq!(shown, [(0, 2, Some(1), Some(1)), (3, 4, Some(2), Some(2))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passage_that_its_documents_bound_leaves_out_does_not_stand_for_its_copies() {
    let test = TestDb::new().await;
    let (best, other) = ("The lamp keeper.", "Each evening the keeper climbs all of the stairs up to the light again.");
    add(&test, USER, "a.md", &[best, other]).await;
    add(&test, USER, "b.md", &[&format!("{other} And again.")]).await;
    fill(&test).await;
    let query = Query { distinct: true, per_document: Some(1), ..by_words(USER, "lamp keeper") };
    let found = search(&test.db, &NoModel, &VectorCache::new(0), None, query).await.unwrap();
    let shown: Vec<_> =
        found.hits.iter().map(|hit| (hit.passage.chunk.filename.as_str(), hit.passage.duplicates)).collect();
    assert_eq!(shown, [("a.md", 0), ("b.md", 0)]);
}

const COLUMN: &str = "ALTER TABLE upload_pipeline.document_chunks ADD COLUMN tsv tsvector
    GENERATED ALWAYS AS (to_tsvector('english', coalesce(heading, '') || ' ' || text)) STORED;
    CREATE INDEX ix_document_chunks_tsv ON upload_pipeline.document_chunks USING gin (tsv)";
const HAS_COLUMN: &str =
    "SELECT count(*) FROM pg_attribute WHERE attrelid = 'upload_pipeline.document_chunks'::regclass
    AND attname = 'tsv' AND NOT attisdropped";

#[tokio::test(flavor = "multi_thread")]
async fn documents_from_before_the_index_are_found_throughout_and_the_old_index_goes_when_they_are_in() {
    let test = TestDb::new().await;
    test.run(COLUMN).await;
    add(&test, USER, "old.md", &["The lamp burns.", "A sea."]).await;
    let migrate = || async {
        store::migrations::migrate(&target(&test.url), &Handle::current(), "development", None, "test").await.unwrap();
        test.value(HAS_COLUMN).await
    };
    assert_eq!(migrate().await, "1", "the old index stays while a document is not in the new one");
    assert_eq!(found(&test, by_words(USER, "lamps")).await, ["old.md 0"]);
    assert_eq!(store::words::count_unindexed(&test.db).await.unwrap(), 1);
    fill(&test).await;
    assert_eq!(test.value("SELECT is_filled FROM upload_pipeline.search_users").await, "t");
    assert_eq!(migrate().await, "0");
    assert_eq!(found(&test, by_words(USER, "lamps")).await, ["old.md 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_goes_with_the_document() {
    let test = TestDb::new().await;
    let document = add(&test, USER, "lamp.md", &["The lamp burns."]).await;
    fill(&test).await;
    let rows = "SELECT (SELECT count(*) FROM upload_pipeline.search_documents) + (SELECT count(*) FROM upload_pipeline.search_words)
        + (SELECT count(*) FROM upload_pipeline.search_titles)";
    assert_ne!(test.value(rows).await, "0");
    store::documents::delete_document(&test.db, USER, document, None).await.unwrap();
    assert_eq!(test.value(rows).await, "0");
    assert!(found(&test, by_words(USER, "lamp")).await.is_empty());
}

/// The plan that the search depends on: a look-up for each term in the key that holds everything.
#[tokio::test(flavor = "multi_thread")]
async fn postings_are_read_from_the_key_alone_by_user_and_term() {
    let test = TestDb::new().await;
    add(&test, USER, "lamp.md", &["The lamp burns."]).await;
    fill(&test).await;
    test.run("ANALYZE; SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off").await;
    let plan = test
        .rows(
            "EXPLAIN SELECT w.term, string_agg(w.entries, ''::bytea) FROM unnest('{1,2}'::int[]) AS t (term)
             CROSS JOIN LATERAL (SELECT s.term, s.entries FROM upload_pipeline.search_words AS s
               WHERE s.user_no = 1 AND s.term = t.term OFFSET 0) AS w GROUP BY w.term",
        )
        .await;
    let plan = plan.concat().join("\n");
    assert!(plan.contains("Index Only Scan using pk_search_words"), "{plan}");
    assert!(plan.contains("(user_no = 1) AND (term = t.term)"), "{plan}");
}

/// Three complete documents of user 1 and many of user 2, with ten passages each. Every third passage is about lamps, and
/// each later passage has a vector further from `[1, 0]`.
async fn seeded() -> TestDb {
    let test = TestDb::new().await;
    test.run(COLUMN).await;
    test.run(
        "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, processing_status)
         SELECT gen_random_uuid(), ('00000000-0000-0000-0000-00000000000' || CASE WHEN n <= 3 THEN 1 ELSE 2 END)::uuid, 'a.md',
           'text/markdown', 1, n::text, 'raw/x', 'complete'
         FROM generate_series(1, 200) AS n;
         INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text,
           chunk_sha, embed_model, embed_version, vector_dim, embedding)
         SELECT gen_random_uuid(), d.document_id, 'm', '1', n, CASE WHEN n IN (3, 6, 9) THEN repeat('The lamp burns. ', n) ELSE 'A sea.' END,
           'x', 'm', '1', 2, ARRAY[1, n + random() / 2]::real[]::vector
         FROM upload_pipeline.documents AS d, generate_series(0, 9) AS n;
         ANALYZE",
    )
    .await;
    test
}

async fn owners(test: &TestDb, found: &[Candidate]) -> Vec<Vec<String>> {
    let ids: Vec<String> = found.iter().map(|candidate| format!("'{}'", candidate.chunk_id.0)).collect();
    test.rows(&format!(
        "SELECT DISTINCT d.user_id FROM upload_pipeline.document_chunks AS c
         JOIN upload_pipeline.documents AS d USING (document_id) WHERE c.chunk_id IN ({})",
        ids.join(", ")
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_old_plans_find_the_same_passages_and_none_of_other_users() {
    const QUESTION: &str = "Which lamps burn?";
    let test = seeded().await;
    let conn = test.db.get().await.unwrap();
    assert_eq!(get_extent(&conn, within(USER)).await.unwrap(), Extent::Few);
    let few = search_text(&conn, QUESTION, within(USER), Extent::Few).await.unwrap();
    let many = search_text(&conn, QUESTION, within(USER), Extent::Many).await.unwrap();
    assert_eq!(few.len(), 9, "three passages about lamps in each of three documents");
    assert_eq!(few, many);
    assert_eq!(owners(&test, &few).await, [[USER.to_string()]]);
    let model = EmbedModel { name: "m".into(), version: "1".into(), dim: 2, max_tokens: 8 };
    let all = search_vectors(&test.db, &model, &[1.0, 0.0], within(USER)).await.unwrap();
    assert_eq!(all.len(), 30);
    assert_eq!(owners(&test, &all).await, [[USER.to_string()]]);
}
