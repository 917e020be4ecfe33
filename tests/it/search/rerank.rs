//! A reranker by HTTP: its order, its forms, and that a search loses nothing when it fails.

use std::time::{Duration, Instant};

use domain::{Code, ports::Reranker};
use providers::rerank::{HttpReranker, RerankOptions};
use search::{Found, Query, VectorCache, search};

use super::{NoModel, USER, add, by_words, fill};
use crate::support::{
    db::TestDb,
    fakes::{
        http::{Reply, Server},
        services::{KEY_OF_RERANKER, RERANKED, reranker},
    },
};

const QUESTION: &str = "what does the lamp burn";

fn client(server: &Server, model: Option<&str>, key: &str) -> HttpReranker {
    let url = format!("{}/rerank", server.url()).parse().unwrap();
    let options = RerankOptions { url, model: model.map(str::to_owned), timeout: Duration::from_millis(500) };
    HttpReranker::new(options, Some(key)).unwrap()
}

async fn searched(test: &TestDb, reranker: &dyn Reranker, query: Query<'_>) -> Found {
    search(&test.db, &NoModel, &VectorCache::new(0), Some(reranker), query).await.unwrap()
}

fn texts(found: &Found) -> Vec<&str> {
    found.hits.iter().map(|hit| hit.passage.chunk.text.as_str()).collect()
}

async fn lamps() -> TestDb {
    let test = TestDb::new().await;
    let judged_best = format!("Oil is what any lamp of the coast takes ({RERANKED}).");
    add(&test, USER, "a.md", &["What the lamp does: it burns.", "A lamp.", &judged_best]).await;
    fill(&test).await;
    test
}

#[tokio::test(flavor = "multi_thread")]
async fn hits_have_the_order_and_the_scores_of_the_reranker_in_both_its_forms() {
    let (test, server) = (lamps().await, reranker());
    let own = search(&test.db, &NoModel, &VectorCache::new(0), None, by_words(USER, QUESTION)).await.unwrap();
    assert_eq!((own.hits.len(), own.reranker.as_ref()), (3, None));
    assert!(!texts(&own)[0].contains(RERANKED), "the words alone put another first");
    for model in [Some("judge-1"), None] {
        let found = searched(&test, &client(&server, model, KEY_OF_RERANKER), by_words(USER, QUESTION)).await;
        assert!(texts(&found)[0].contains(RERANKED), "{model:?}: {:?}", texts(&found));
        assert_eq!(found.reranker.as_deref(), Some(model.unwrap_or("127.0.0.1")));
        assert_eq!(found.hits.iter().map(|hit| hit.score).collect::<Vec<_>>(), [0.9, 0.2, 0.2]);
        let sure = Query { min_score: Some(0.5), ..by_words(USER, QUESTION) };
        assert_eq!(searched(&test, &client(&server, model, KEY_OF_RERANKER), sure).await.hits.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reranker_that_fails_costs_the_search_its_budget_once_and_nothing_else() {
    let test = lamps().await;
    let own = search(&test.db, &NoModel, &VectorCache::new(0), None, by_words(USER, QUESTION)).await.unwrap();
    let replies = [
        Reply::empty(500),
        Reply::empty(429),
        Reply::json(200, &serde_json::json!({ "results": [] })),
        Reply::text(200, "<html>"),
        Reply::Silence,
    ];
    for reply in replies {
        let name = format!("{reply:?}");
        let server = Server::start(move |_request| reply.clone());
        let reranker = client(&server, Some("judge-1"), KEY_OF_RERANKER);
        for _ in 0..3 {
            let found = searched(&test, &reranker, by_words(USER, QUESTION)).await;
            assert_eq!((texts(&found), found.reranker.as_ref()), (texts(&own), None), "{name}");
        }
        assert_eq!(server.seen().len(), 1, "{name}: after a failure it is left alone for a while");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_a_reranker_has_its_code_and_none_shows_the_key() {
    let server = reranker();
    let failure = client(&server, None, "wrong-key").rerank("q", &["p".to_owned()]).await.unwrap_err();
    assert_eq!(failure.code, Code::RerankerKeyRefused);
    assert!(!failure.message.contains("wrong-key"));
    let silent = Server::start(|_request| Reply::Silence);
    let began = Instant::now();
    let failure = client(&silent, None, KEY_OF_RERANKER).rerank("q", &["p".to_owned()]).await.unwrap_err();
    assert!(failure.message.contains("RERANK_TIMEOUT") && began.elapsed() < Duration::from_secs(10), "{failure}");
}
