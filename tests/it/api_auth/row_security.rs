//! Row-level security for Supabase's roles, which clients of PostgREST use instead of the API.

use store::migrations::migrate;
use tokio::runtime::Handle;

use crate::support::db::{TestDb, target};

const ONE: &str = "00000000-0000-0000-0000-000000000001";
/// Tables in which a user may read their own rows. Every other table and view of the schema is closed to them.
const OWN: [&str; 14] = [
    "documents",
    "upload_jobs",
    "document_chunks",
    "document_versions",
    "version_chunks",
    "events",
    "search_questions",
    "search_judgements",
    "search_users",
    "search_documents",
    "search_words",
    "search_titles",
    "chunk_vectors",
    "usage_days",
];
/// Tables that are of no user, and that every user may read.
const OF_ALL: [&str; 1] = ["active_model"];

/// A schema with Supabase's roles, and a row of each of two users in each of these tables.
async fn world() -> TestDb {
    let test = TestDb::empty().await;
    for role in ["authenticated", "anon"] {
        // Roles belong to the server, so another test may have created this one already.
        test.run(&format!(
            "DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        ))
        .await;
    }
    migrate(&target(&test.url), &Handle::current(), "development", None, "test").await.unwrap();
    test.run(
        "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
         SELECT ('00000000-0000-0000-0000-0000000000d' || n)::uuid, ('00000000-0000-0000-0000-00000000000' || n)::uuid,
           'a.md', 'text/markdown', 1, 'x', 'y' FROM generate_series(1, 2) n;
         INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, progress, created_at, updated_at)
         SELECT gen_random_uuid(), document_id, 'uploaded', 'queued', '{}', now(), now() FROM upload_pipeline.documents;
         INSERT INTO upload_pipeline.document_chunks
           (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text, chunk_sha, embed_model, embed_version, vector_dim)
         SELECT gen_random_uuid(), document_id, 'c', '1', 0, 'words', 'x', 'm', '1', 384 FROM upload_pipeline.documents;
         INSERT INTO upload_pipeline.document_versions
           (document_id, version_no, user_id, state, filename, mime, bytes_len, file_sha256, raw_path)
         SELECT document_id, 2, user_id, 'staged', 'a.md', 'text/markdown', 1, 'z', 'w' FROM upload_pipeline.documents;
         INSERT INTO upload_pipeline.version_chunks
           (chunk_id, document_id, version_no, chunker_name, chunker_version, chunk_ord, text, chunk_sha)
         SELECT gen_random_uuid(), document_id, 2, 'c', '1', 0, 'words', 'x' FROM upload_pipeline.documents;
         INSERT INTO upload_pipeline.active_model (model, version, vector_dim) VALUES ('m', '1', 384);
         INSERT INTO upload_pipeline.chunk_vectors (document_id, chunk_sha, embed_model, embed_version, vector_dim, embedding)
         SELECT document_id, 'sha', 'm', '1', 2, '[0,1]' FROM upload_pipeline.documents;
         INSERT INTO upload_pipeline.search_users (user_id, is_filled) SELECT user_id, true FROM upload_pipeline.documents;
         INSERT INTO upload_pipeline.search_documents
           (document_id, user_no, passages, language, chunker_name, chunker_version, version)
         SELECT d.document_id, u.user_no, 1, 'en', 'c', '1', 1
         FROM upload_pipeline.documents AS d JOIN upload_pipeline.search_users AS u ON u.user_id = d.user_id;
         INSERT INTO upload_pipeline.search_words (user_no, term, document_no, block, entries)
         SELECT user_no, 1, document_no, 0, '\\x000001' FROM upload_pipeline.search_documents;
         INSERT INTO upload_pipeline.search_titles (user_no, term, document_no)
         SELECT user_no, 1, document_no FROM upload_pipeline.search_documents;
         INSERT INTO upload_pipeline.search_questions (question_id, user_id, question)
         SELECT document_id, user_id, 'whose?' FROM upload_pipeline.documents;
         INSERT INTO upload_pipeline.search_judgements (judgement_id, question_id, user_id, document_id, page, verdict)
         SELECT gen_random_uuid(), document_id, user_id, document_id, 1, 'right' FROM upload_pipeline.documents;
         INSERT INTO upload_pipeline.events (event_id, job_id, document_id, ts, type, severity, code)
         SELECT gen_random_uuid(), job_id, document_id, now(), 'stage_started', 'info', 'uploaded' FROM upload_pipeline.upload_jobs;
         INSERT INTO upload_pipeline.usage_days (user_id, day, provider, model)
         SELECT DISTINCT user_id, current_date, 'openai', 'm' FROM upload_pipeline.documents",
    )
    .await;
    test
}

async fn relations(test: &TestDb) -> Vec<String> {
    let names = test
        .rows(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'upload_pipeline' AND c.relkind IN ('r', 'v', 'm', 'p', 'f') ORDER BY 1",
        )
        .await;
    names.into_iter().map(|mut row| row.remove(0)).collect()
}

fn acting_as(role: &str, user: &str) -> String {
    format!("BEGIN; SET LOCAL ROLE {role}; SET LOCAL request.jwt.claims = '{{\"sub\": \"{user}\"}}';")
}

async fn refused(test: &TestDb, sql: &str) {
    let refusal = test.refusal(sql).await;
    test.run("ROLLBACK").await;
    assert!(refusal.contains("permission denied"), "{sql}: {refusal}");
}

#[tokio::test]
async fn a_user_reads_only_their_own_rows() {
    let test = world().await;
    let relations = relations(&test).await;
    assert!(OWN.iter().all(|own| relations.iter().any(|name| name == own)), "{relations:?}");
    for name in &relations {
        let select = format!("SELECT * FROM upload_pipeline.{name}");
        let begin = acting_as("authenticated", ONE);
        if OF_ALL.contains(&name.as_str()) {
            assert_eq!(test.rows(&format!("{begin} {select}; COMMIT")).await.len(), 1, "{name}");
            continue;
        }
        if !OWN.contains(&name.as_str()) {
            refused(&test, &format!("{begin} {select}")).await;
            continue;
        }
        assert!(test.rows(&select).await.len() >= 2, "{name} has no rows of a second user");
        let owner = match name.as_str() {
            "documents" | "upload_jobs" | "search_questions" | "search_judgements" | "search_users" | "usage_days" => {
                "user_id"
            }
            "search_documents" | "search_words" | "search_titles" => {
                "(SELECT u.user_id FROM upload_pipeline.search_users u WHERE u.user_no = t.user_no)"
            }
            _ => "(SELECT d.user_id FROM upload_pipeline.documents d WHERE d.document_id = t.document_id)",
        };
        let seen = test.rows(&format!("{begin} SELECT DISTINCT {owner} FROM upload_pipeline.{name} t; COMMIT")).await;
        assert_eq!(seen, [[ONE]], "{name}");
        for stranger in [
            acting_as("authenticated", "00000000-0000-0000-0000-000000000009"),
            "BEGIN; SET LOCAL ROLE authenticated;".to_owned(),
        ] {
            let seen = test.rows(&format!("{stranger} SELECT 1 FROM upload_pipeline.{name}; COMMIT")).await;
            assert!(seen.is_empty(), "{name}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn users_write_nothing_and_anon_neither_reads_nor_writes() {
    let test = world().await;
    for name in relations(&test).await {
        let kind =
            test.value(&format!("SELECT relkind FROM pg_class WHERE oid = 'upload_pipeline.{name}'::regclass")).await;
        for (role, rights) in
            [("authenticated", "INSERT, UPDATE, DELETE, TRUNCATE"), ("anon", "SELECT, INSERT, UPDATE, DELETE")]
        {
            let has = format!("SELECT has_table_privilege('{role}', 'upload_pipeline.{name}', '{rights}')");
            assert_eq!(test.value(&has).await, "f", "{role} on {name}");
        }
        if kind != "r" {
            continue;
        }
        for role in ["authenticated", "anon"] {
            let begin = acting_as(role, ONE);
            let writes = ["INSERT INTO", "DELETE FROM", "TRUNCATE"].map(|verb| match verb {
                "INSERT INTO" => format!("{begin} INSERT INTO upload_pipeline.{name} DEFAULT VALUES"),
                verb => format!("{begin} {verb} upload_pipeline.{name}"),
            });
            for write in writes {
                refused(&test, &write).await;
            }
            let column = test
                .value(&format!(
                    "SELECT attname FROM pg_attribute WHERE attrelid = 'upload_pipeline.{name}'::regclass AND attnum > 0
                     AND NOT attisdropped AND attidentity = '' AND attgenerated = '' ORDER BY attnum LIMIT 1"
                ))
                .await;
            refused(&test, &format!("{begin} UPDATE upload_pipeline.{name} SET {column} = {column}")).await;
        }
        refused(&test, &format!("{} SELECT * FROM upload_pipeline.{name}", acting_as("anon", ONE))).await;
    }
}

#[tokio::test]
async fn no_function_runs_with_the_rights_of_its_owner() {
    let test = world().await;
    let definers = test
        .rows(
            "SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE n.nspname = 'upload_pipeline' AND p.prosecdef",
        )
        .await;
    assert!(definers.is_empty(), "{definers:?}");
    let claim = "SELECT * FROM upload_pipeline.upload_jobs FOR UPDATE";
    refused(&test, &format!("{} {claim}", acting_as("authenticated", ONE))).await;
}
