//! What stands in the tables during a change of model: for other builds, deletion, `app verify`, and searches of large users.

use domain::ports::EmbedModel;
use store::{beside::count_unpacked_beside, model_switch::count_reembedded};

use super::{NEW, TO_HERON, book, world};

fn heron() -> EmbedModel {
    EmbedModel { name: NEW.to_owned(), version: "1".to_owned(), dim: 512, max_tokens: 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_build_leaves_the_jobs_of_a_run_alone() {
    let world = world(&[]).await;
    let worker = world.fleet.worker();
    world.complete("lamps", &book("lamp", 3)).await;
    assert_eq!(worker.stop(), 0);
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    // As such a build claims.
    let claim = "SELECT count(*) FROM set_config('upload_pipeline.knows_versions', 'on', true) AS known (versions)
        CROSS JOIN LATERAL upload_pipeline.claim_jobs(CASE known.versions WHEN 'on' THEN gen_random_uuid() END, 5, 0, NULL,
          ARRAY['chunks_stored'], ARRAY['embed'], 2, 30, now())";
    assert_eq!(world.test.value(claim).await, "0");
    let state = "SELECT state FROM upload_pipeline.upload_jobs WHERE document_id IS NULL";
    assert_eq!(world.test.value(state).await, "queued");
    // Other programs cannot make a job without a document.
    let insert = "INSERT INTO upload_pipeline.upload_jobs (job_id, status, state) VALUES (gen_random_uuid(), 'uploaded', 'queued')";
    let refused = world.test.db.get().await.unwrap();
    assert!(pg::Session::run(&refused, insert, &[]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_takes_the_vectors_beside_and_verify_looks_at_them() {
    let world = world(&[]).await;
    let _worker = world.fleet.worker();
    let lamps = world.complete("lamps", &book("lamp", 3)).await;
    world.complete("boats", &book("boat", 2)).await;
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    world.reembeds(&["status", "--wait", "60"]);
    let beside = "SELECT (SELECT count(*) FROM upload_pipeline.chunk_vectors), (SELECT count(*) FROM upload_pipeline.packed_vectors)";
    assert_eq!(world.test.rows(beside).await, [["5", "2"]]);
    world.reembeds(&["switch", "--without-questions"]);
    world.wait_for_search_by(NEW).await;
    let (status, verified, stderr) = world.fleet.run(&["verify", "--all", "--output", "json"]);
    assert!(status.success() && verified.contains("\"embedded_again\": true"), "{verified}{stderr}");
    world.test.run("UPDATE upload_pipeline.chunk_vectors SET embedding = (SELECT array_agg(2.0)::real[]::vector FROM generate_series(1, 512)) WHERE chunk_sha = (SELECT min(chunk_sha) FROM upload_pipeline.chunk_vectors)").await;
    let (status, verified, _) = world.fleet.run(&["verify", "--all"]);
    assert!(!status.success() && verified.contains("vectors_differ"), "{verified}");
    let (status, body) = world.client.send(reqwest::Method::DELETE, &format!("/documents/{lamps}"), None).await;
    assert!(status < 300, "{status} {body}");
    assert_eq!(world.test.rows(beside).await, [["2", "1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_vectors_of_both_models_are_there_at_the_switch_and_find_what_the_real_ones_do() {
    let world = world(&[]).await;
    let _worker = world.fleet.worker();
    world.complete("lamps", &book("lamp", 4)).await;
    // More passages than are all compared, as copies of one that are moved a little.
    world
        .test
        .run(
            "INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text, chunk_sha,
               embed_model, embed_version, vector_dim, embedding)
             SELECT gen_random_uuid(), c.document_id, c.chunker_name, c.chunker_version, 4 + n, 'filler ' || n,
               encode(sha256(convert_to(E'\\nfiller ' || n, 'UTF8')), 'hex'), c.embed_model, c.embed_version, c.vector_dim, c.embedding
             FROM upload_pipeline.document_chunks AS c CROSS JOIN generate_series(0, 2099) AS n WHERE c.chunk_ord = 0;
             DELETE FROM upload_pipeline.search_documents",
        )
        .await;
    let housekeeping = world.fleet.housekeeping(&world.test.db);
    housekeeping.sweep().await.unwrap();
    let before = world.search("Who counts the boats of lamp house 2?", "vector").await;
    assert!(before["hits"][0]["text"].as_str().unwrap().contains("house 2"), "{before}");
    world.reembeds(&[&["start"][..], &TO_HERON].concat());
    world.reembeds(&["status", "--wait", "60"]);
    let (conn, model) = (world.test.db.get().await.unwrap(), heron());
    assert_eq!(count_reembedded(&conn, &model).await.unwrap().missing, 0);
    assert_eq!(count_unpacked_beside(&conn, &model).await.unwrap(), 0);
    drop(conn);
    world.reembeds(&["switch", "--without-questions"]);
    world.wait_for_search_by(NEW).await;
    let found = world.search("Who counts the boats of lamp house 2?", "vector").await;
    assert!(found["hits"][0]["text"].as_str().unwrap().contains("house 2"), "{found}");
    world.let_all_follow().await;
    // What a killed `finish` leaves, housekeeping does.
    world.test.run("UPDATE upload_pipeline.model_switch SET state = 'finishing'").await;
    housekeeping.sweep().await.unwrap();
    assert_eq!(world.test.value("SELECT state FROM upload_pipeline.model_switch").await, "finished");
    let packed = "SELECT embed_model, count(*) FROM upload_pipeline.search_vectors GROUP BY 1";
    assert_eq!(world.test.rows(packed).await, [[NEW, "1"]]);
    let again = world.search("Who counts the boats of lamp house 2?", "vector").await;
    assert_eq!(again["hits"][0]["chunk_id"], found["hits"][0]["chunk_id"]);
}
