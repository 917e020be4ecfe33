//! By meaning and under filters: packed vectors find what an exact scan finds.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    Code, DocumentId, Failure, UserId,
    filter::Filter,
    ports::{Chunker, EmbedModel, EmbedPriority, Embedder, ModelSource},
};
use search::{Query, VectorCache, search};
use serde_json::json;
use store::search::{SearchIn, search_vectors};

use super::{OTHER, USER, add, by_words, fill, found, within};
use crate::support::db::TestDb;

/// A model that gives every question one vector.
pub struct OneVector(Vec<f32>, EmbedModel);

impl OneVector {
    fn new(vector: &[f32]) -> Arc<Self> {
        Self::named("m", vector)
    }

    /// A model of this name.
    pub fn named(name: &str, vector: &[f32]) -> Arc<Self> {
        let model = EmbedModel { name: name.into(), version: "1".into(), dim: vector.len(), max_tokens: 8 };
        Arc::new(Self(vector.to_vec(), model))
    }
}

#[async_trait]
impl Embedder for OneVector {
    fn model(&self) -> &EmbedModel {
        &self.1
    }
    async fn embed(&self, texts: Vec<String>, _priority: EmbedPriority) -> Result<Vec<Vec<f32>>, Failure> {
        Ok(vec![self.0.clone(); texts.len()])
    }
}

pub struct Source(pub Arc<OneVector>);

#[async_trait]
impl ModelSource for Source {
    async fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure> {
        Ok(self.0.clone())
    }
    async fn chunker(&self) -> Result<Arc<dyn Chunker>, Failure> {
        Err(Failure::new(Code::EmbedderUnavailable, "nothing is cut here"))
    }
}

fn filter(value: serde_json::Value) -> Filter {
    Filter::parse(&value).unwrap()
}

fn by_meaning(user: UserId) -> Query<'static> {
    Query { by_meaning: true, by_words: false, min_score: Some(0.0), ..by_words(user, "a question") }
}

/// The vector of a question, and two users with 3,000 passages each in documents of 300, whose vectors all point about the
/// same way, as those of some models do.
async fn many_vectors(test: &TestDb) -> Vec<f32> {
    test.run(
        "SELECT setseed(0.5);
         INSERT INTO upload_pipeline.active_model (model, version, vector_dim) VALUES ('m', '1', 64);
         INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, processing_status)
         SELECT gen_random_uuid(), ('00000000-0000-0000-0000-00000000000' || 1 + n % 2)::uuid, n || '.md',
           'text/markdown', 1, n::text, 'raw/x', 'complete'
         FROM generate_series(1, 20) AS n;
         INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text,
           chunk_sha, embed_model, embed_version, vector_dim, embedding)
         SELECT gen_random_uuid(), d.document_id, 'm', '1', n, 'A sea.', 'x', 'm', '1', 64, (
           SELECT array_agg(3 + random() - 0.5 + (n + i) * 0) FROM generate_series(1, 64) AS i)::real[]::vector
         FROM upload_pipeline.documents AS d, generate_series(0, 299) AS n;
         ANALYZE",
    )
    .await;
    (0..64).map(|i| 3.0 + f32::from(i16::try_from(i * 37 % 64).unwrap()) / 64.0 - 0.5).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_vectors_find_what_an_exact_scan_finds_of_the_caller_alone_and_kept_or_not() {
    let test = TestDb::new().await;
    let vector = many_vectors(&test).await;
    let model = OneVector::new(&vector);
    let exact = search_vectors(&test.db, &model.1, &vector, SearchIn { limit: 10, ..within(USER) }).await.unwrap();
    let exact: Vec<_> = exact.iter().map(|candidate| candidate.chunk_id).collect();
    let cache = VectorCache::new(1 << 20);
    let source = Source(model);
    let found = || async {
        let found = search(&test.db, &source, &cache, None, by_meaning(USER)).await.unwrap();
        found.hits.iter().map(|hit| hit.passage.chunk.chunk_id).collect::<Vec<_>>()
    };
    assert_eq!(found().await, exact, "nothing is indexed yet");
    fill(&test).await;
    assert_eq!(housekeeping::words::pack(&test.db, Duration::from_secs(600)).await.unwrap(), 0, "filling packs too");
    assert_eq!(found().await, exact, "read");
    assert_eq!(found().await, exact, "kept");
    // As after an upgrade: words are there, vectors are not packed yet.
    test.run("DELETE FROM upload_pipeline.search_vectors WHERE document_no % 3 = 0").await;
    let cache = VectorCache::new(0);
    let some = search(&test.db, &source, &cache, None, by_meaning(USER)).await.unwrap();
    assert_eq!(some.hits.iter().map(|hit| hit.passage.chunk.chunk_id).collect::<Vec<_>>(), exact);
    let left = store::packed::count_unpacked(&test.db).await.unwrap();
    assert!(left > 0);
    assert_eq!(housekeeping::words::pack(&test.db, Duration::from_secs(600)).await.unwrap(), left.unsigned_abs());
    let whole = "SELECT count(DISTINCT length(packed)) || ' ' || count(*) FROM upload_pipeline.search_vectors";
    assert_eq!(test.value(whole).await, "1 20");
}

/// Whether all vectors are compared, or the packed ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_passage_in_another_language_is_found_before_those_that_are_near_by_their_language_alone() {
    for passages in [10, 700] {
        let test = TestDb::new().await;
        test.run(&format!(
            "SELECT setseed(0.5);
             INSERT INTO upload_pipeline.active_model (model, version, vector_dim) VALUES ('m', '1', 8);
             INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, processing_status)
             SELECT gen_random_uuid(), '{USER}', n || '.md', 'text/markdown', 1, n::text, 'raw/x', 'complete'
             FROM generate_series(0, 3) AS n;
             INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text,
               chunk_sha, embed_model, embed_version, vector_dim, embedding)
             SELECT gen_random_uuid(), d.document_id, 'm', '1', n, CASE WHEN d.filename < '2' THEN 'The insurance covers the house and
               all that is in it.' ELSE 'Die Versicherung deckt das Haus und alles was darin ist.' END, 'x', 'm', '1', 8, (
               ARRAY[(d.filename < '2')::int, (d.filename >= '2')::int, CASE WHEN d.filename = '3.md' AND n = 7 THEN 0.6 ELSE 0 END]
               || (SELECT array_agg((random() - 0.5) / 5 + (n + i) * 0) FROM generate_series(1, 5) AS i))::real[]::vector
             FROM upload_pipeline.documents AS d, generate_series(0, {passages} - 1) AS n;
             ANALYZE"
        ))
        .await;
        fill(&test).await;
        let source = Source(OneVector::new(&[1.0, 0.8, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0]));
        for (query, cache) in [(by_meaning(USER), 0), (Query { by_words: true, ..by_meaning(USER) }, 1 << 20)] {
            let found = search(&test.db, &source, &VectorCache::new(cache), None, query).await.unwrap();
            let first = &found.hits[0];
            assert_eq!((first.passage.chunk.filename.as_str(), first.passage.chunk.ord), ("3.md", 7));
            assert!((first.place.cosine.unwrap() - 0.70).abs() < 0.02, "the cosine is as it is: {:?}", first.place);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_vectors_go_with_the_document_and_what_is_kept_of_it_finds_nothing() {
    let test = TestDb::new().await;
    let vector = many_vectors(&test).await;
    fill(&test).await;
    let (cache, source) = (VectorCache::new(1 << 20), Source(OneVector::new(&vector)));
    let first = || async {
        let found = search(&test.db, &source, &cache, None, by_meaning(USER)).await.unwrap();
        found.hits[0].passage.chunk.document_id
    };
    let document = first().await;
    store::documents::delete_document(&test.db, USER, document, None).await.unwrap();
    assert_eq!(test.value("SELECT count(*) FROM upload_pipeline.search_vectors").await, "19");
    assert_ne!(first().await, document);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_filter_packed_vectors_find_what_an_exact_scan_finds() {
    let test = TestDb::new().await;
    let vector = many_vectors(&test).await;
    test.run(
        "UPDATE upload_pipeline.documents SET metadata = jsonb_build_object('n', split_part(filename, '.', 1)::int)",
    )
    .await;
    fill(&test).await;
    let (cache, model) = (VectorCache::new(1 << 20), OneVector::new(&vector));
    let source = Source(model.clone());
    for (wanted, only, documents) in [
        (json!({"field": "metadata.n", "gt": 2}), "(metadata->>'n')::int > 2", 9),
        (json!({"not": {"field": "metadata.n", "in": [2, 4, 6]}}), "(metadata->>'n')::int NOT IN (2, 4, 6)", 7),
        (json!({"field": "metadata.n", "lte": 4}), "(metadata->>'n')::int <= 4", 2),
        (json!({"field": "metadata.n", "eq": 999}), "false", 0),
    ] {
        let ids = test
            .rows(&format!("SELECT document_id FROM upload_pipeline.documents WHERE user_id = '{USER}' AND {only}"))
            .await;
        let ids: Vec<DocumentId> = ids.iter().map(|row| DocumentId(row[0].parse().unwrap())).collect();
        assert_eq!(ids.len(), documents);
        let within = SearchIn { documents: Some(&ids), limit: 10, ..within(USER) };
        let exact = search_vectors(&test.db, &model.1, &vector, within).await.unwrap();
        let parsed = filter(wanted);
        let query = Query { filter: Some(&parsed), ..by_meaning(USER) };
        let found = search(&test.db, &source, &cache, None, query).await.unwrap();
        let found: Vec<_> = found.hits.iter().map(|hit| hit.passage.chunk.chunk_id).collect();
        assert_eq!(found, exact.iter().map(|candidate| candidate.chunk_id).collect::<Vec<_>>(), "{parsed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_condition_of_a_filter_chooses_the_documents_that_it_says() {
    let test = TestDb::new().await;
    for (name, metadata) in [
        ("a.md", json!({"year": 2018, "tags": ["x", "y"], "of": {"kind": "report"}, "odd \"key'": true})),
        ("B-10K.md", json!({"year": 2019, "tags": ["y"], "on": "2026-03-01"})),
        ("c.md", json!({"year": "2018", "on": "2026-05-01", "gone": null})),
        ("d.md", json!({})),
    ] {
        let id = add(&test, USER, name, &["The insurance covers water damage in the house."]).await;
        let metadata = metadata.to_string().replace('\'', "''");
        test.run(&format!(
            "UPDATE upload_pipeline.documents SET metadata = '{metadata}', kind = 'markdown' WHERE document_id = '{}'",
            id.0
        ))
        .await;
    }
    add(&test, OTHER, "e.md", &["The insurance covers water damage in the house."]).await;
    fill(&test).await;
    let all = ["B-10K.md 0", "a.md 0", "c.md 0", "d.md 0"];
    for (wanted, expected) in [
        (json!({"field": "metadata.year", "eq": 2018}), vec!["a.md 0"]),
        (json!({"field": "metadata.year", "eq": "2018"}), vec!["c.md 0"]),
        (json!({"field": "metadata.year", "in": [2019, "2018"]}), vec!["B-10K.md 0", "c.md 0"]),
        (json!({"field": "metadata.year", "gte": 2018, "lt": 2019}), vec!["a.md 0"]),
        (json!({"field": "metadata.on", "gt": "2026-03-15"}), vec!["c.md 0"]),
        (json!({"field": "metadata.tags", "eq": "y"}), vec!["B-10K.md 0", "a.md 0"]),
        (json!({"field": "metadata.of.kind", "eq": "report"}), vec!["a.md 0"]),
        (json!({"field": "metadata.odd \"key'", "eq": true}), vec!["a.md 0"]),
        (json!({"field": "metadata.year", "exists": false}), vec!["d.md 0"]),
        (json!({"field": "metadata.gone", "exists": true}), vec!["c.md 0"]),
        (json!({"not": {"field": "metadata.year", "eq": 2018}}), vec!["B-10K.md 0", "c.md 0", "d.md 0"]),
        (json!({"field": "filename", "contains": "10k"}), vec!["B-10K.md 0"]),
        (json!({"field": "filename", "in": ["a.md", "d.md"]}), vec!["a.md 0", "d.md 0"]),
        (json!({"field": "kind", "eq": "pdf"}), vec![]),
        (json!({"field": "language", "eq": "en"}), all.to_vec()),
        (json!({"field": "created_at", "lt": "2020-01-01T00:00:00Z"}), vec![]),
        (
            json!({"and": [{"field": "kind", "eq": "markdown"}, {"or": [
            {"field": "metadata.year", "eq": 2019}, {"field": "filename", "eq": "d.md"}]}]}),
            vec!["B-10K.md 0", "d.md 0"],
        ),
    ] {
        let parsed = filter(wanted.clone());
        let mut hits =
            found(&test, Query { filter: Some(&parsed), min_score: Some(0.0), ..by_words(USER, "insurance") }).await;
        hits.sort_unstable();
        assert_eq!(hits, expected, "{wanted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_are_read_again_do_not_take_the_places_of_others() {
    let test = TestDb::new().await;
    let vector = many_vectors(&test).await;
    fill(&test).await;
    let (cache, model) = (VectorCache::new(1 << 20), OneVector::new(&vector));
    // All but one of the user's documents.
    test.run(&format!(
        "UPDATE upload_pipeline.documents SET processing_status = 'parsed'
         WHERE user_id = '{USER}' AND document_id <> (SELECT max(document_id::text)::uuid FROM upload_pipeline.documents WHERE user_id = '{USER}')"
    ))
    .await;
    let exact = search_vectors(&test.db, &model.1, &vector, SearchIn { limit: 10, ..within(USER) }).await.unwrap();
    let found = search(&test.db, &Source(model), &cache, None, by_meaning(USER)).await.unwrap();
    let found: Vec<_> = found.hits.iter().map(|hit| hit.passage.chunk.chunk_id).collect();
    assert_eq!(found, exact.iter().map(|candidate| candidate.chunk_id).collect::<Vec<_>>());
}
