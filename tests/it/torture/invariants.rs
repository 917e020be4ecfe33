//! The invariants that must hold after the run, each as a query for the jobs that break it.

use super::stack::rows;

/// An invariant of the system.
pub struct Invariant {
    /// What the query finds; there must be none.
    pub name: &'static str,
    /// Returns rows of a job (or an object key) and details.
    sql: &'static str,
}

/// The result of an invariant's query.
pub struct Checked {
    pub name: &'static str,
    /// Job (or object key), and details.
    pub broken: Vec<(String, String)>,
}

/// Runs all queries.
pub async fn check(url: &str) -> Vec<Checked> {
    let mut checked = Vec::new();
    for Invariant { name, sql } in ALL {
        let broken = rows(url, sql).await.into_iter().map(|row| (row[0].clone(), row[1..].join(" "))).collect();
        checked.push(Checked { name, broken });
    }
    checked
}

const ALL: [Invariant; 22] = [
    Invariant {
        name: "lost: accepted, but without a row",
        sql: "SELECT l.job_id, l.wanted FROM torture.ledger AS l
WHERE l.deleted IS NULL AND NOT l.lost AND NOT EXISTS (SELECT FROM upload_pipeline.upload_jobs AS j WHERE j.job_id = l.job_id)",
    },
    Invariant {
        name: "stuck: not ended",
        sql: "SELECT j.job_id, j.state, j.status, j.run_at, j.last_error ->> 'code' FROM upload_pipeline.upload_jobs AS j
WHERE j.state NOT IN ('done', 'deadletter', 'cancelled')",
    },
    Invariant {
        name: "duplicated: complete without exactly one full set of chunks",
        sql: "SELECT j.job_id, n.rows, n.ords, n.sets, n.lowest, n.highest, n.vectors, n.models
FROM upload_pipeline.upload_jobs AS j
CROSS JOIN LATERAL (
  SELECT count(*) AS rows, count(DISTINCT c.chunk_ord) AS ords, count(DISTINCT (c.chunker_name, c.chunker_version)) AS sets,
    min(c.chunk_ord) AS lowest, max(c.chunk_ord) AS highest, count(c.embedding) AS vectors,
    count(DISTINCT (c.embed_model, c.embed_version, c.vector_dim)) AS models
  FROM upload_pipeline.document_chunks AS c WHERE c.document_id = j.document_id) AS n
WHERE j.state = 'done' AND NOT (n.rows > 0 AND n.ords = n.rows AND n.sets = 1 AND n.lowest = 0 AND n.highest = n.rows - 1
  AND n.vectors = n.rows AND n.models = 1)",
    },
    Invariant {
        name: "duplicated: finalized more than once",
        sql: "SELECT e.job_id, count(*) FROM upload_pipeline.events AS e GROUP BY e.job_id
HAVING count(*) FILTER (WHERE e.type = 'finalized') > 1 + count(*) FILTER (WHERE e.type = 'redriven')",
    },
    Invariant {
        name: "duplicated: a version with several jobs that have not failed",
        sql: "SELECT min(j.job_id::text), count(*) FROM upload_pipeline.upload_jobs AS j
WHERE j.status <> 'duplicate' AND j.state NOT IN ('deadletter', 'cancelled') GROUP BY j.document_id, j.version_no HAVING count(*) > 1",
    },
    Invariant {
        name: "half replaced: chunks of another version than the active one, or a complete one beside it",
        sql: "SELECT j.job_id, j.version_no, d.version_no FROM upload_pipeline.upload_jobs AS j
JOIN upload_pipeline.documents AS d USING (document_id)
WHERE j.state = 'done' AND (EXISTS (SELECT FROM upload_pipeline.document_chunks AS c
    WHERE c.document_id = d.document_id AND c.version_no <> d.version_no)
  OR EXISTS (SELECT FROM upload_pipeline.document_versions AS v
    WHERE v.document_id = d.document_id AND v.version_no = j.version_no AND v.state = 'staged'))",
    },
    Invariant {
        name: "a document whose processing_status differs from its latest job",
        sql: "SELECT DISTINCT ON (j.document_id) j.job_id, j.status, d.processing_status
FROM upload_pipeline.upload_jobs AS j JOIN upload_pipeline.documents AS d USING (document_id)
WHERE NOT EXISTS (SELECT FROM upload_pipeline.upload_jobs AS k WHERE k.document_id = j.document_id
    AND (k.created_at, k.job_id) > (j.created_at, j.job_id))
  AND NOT EXISTS (SELECT FROM upload_pipeline.document_versions AS v
    WHERE v.document_id = j.document_id AND v.version_no = j.version_no)
  AND coalesce(d.processing_status, 'uploaded') <> CASE j.status WHEN 'duplicate' THEN 'complete' ELSE j.status END",
    },
    Invariant {
        name: "two claims at once: by owner and epoch",
        sql: "SELECT h.job_id, h.old_state, h.state, h.old_epoch, h.epoch, h.old_owner, h.owner FROM torture.history AS h
WHERE h.epoch < h.old_epoch
  -- A claim repeated after a crash lost its commit only raises the epoch.
  OR (h.state = 'working' AND h.old_state = 'working' AND (h.owner, h.epoch) IS DISTINCT FROM (h.old_owner, h.old_epoch)
    AND (h.owner, h.epoch, h.status) IS DISTINCT FROM (h.old_owner, h.old_epoch + 1, h.old_status))
  OR (h.state = 'working' AND h.old_state <> 'working' AND (h.epoch <> h.old_epoch + 1 OR h.owner IS NULL
    OR h.old_owner IS NOT NULL OR h.old_state NOT IN ('queued', 'retryable')))
  OR (h.state <> 'working' AND h.owner IS NOT NULL)",
    },
    Invariant {
        name: "two claims at once: by the order of events",
        sql: "SELECT s.job_id, s.before, s.type, s.code
FROM (SELECT e.job_id, e.type, e.code, e.payload, coalesce(lag(e.type) OVER (PARTITION BY e.job_id ORDER BY e.seq), '') AS before
  FROM upload_pipeline.events AS e) AS s
WHERE (s.type = 'stage_started' AND s.before = 'stage_started')
  OR (s.type IN ('stage_done', 'finalized') AND s.before <> 'stage_started')
  OR (s.type = 'taken_over' AND s.payload ->> 'in_a_step' = 'true' AND s.before <> 'stage_started')",
    },
    Invariant {
        name: "a status that moved backwards without a retry by the user",
        sql: "SELECT p.job_id, p.old_status, p.status, p.ts
FROM (SELECT h.*, array_position(o.places, h.old_status) AS old_place, array_position(o.places, h.status) AS place
  FROM torture.history AS h
  CROSS JOIN (SELECT ARRAY['uploaded', 'parse_queued', 'parsed', 'parse_validated', 'chunking', 'chunks_stored', 'embedding_queued',
    'embedding_in_progress', 'embeddings_stored', 'complete', 'duplicate', 'failed_parse', 'failed_chunking',
    'failed_embedding'] AS places) AS o) AS p
WHERE p.place < p.old_place AND NOT (p.epoch = p.old_epoch + 1 AND p.state = 'queued')",
    },
    Invariant {
        name: "a step done twice without a retry by the user",
        sql: "SELECT e.job_id, e.code, count(*) FROM upload_pipeline.events AS e
WHERE e.type = 'stage_done' AND NOT EXISTS (SELECT FROM upload_pipeline.events AS r WHERE r.job_id = e.job_id AND r.type = 'redriven')
GROUP BY e.job_id, e.code HAVING count(*) > 1",
    },
    Invariant {
        name: "an event after the job's end",
        sql: "SELECT s.job_id, s.before, s.type, s.code
FROM (SELECT e.job_id, e.type, e.code, lag(e.type) OVER (PARTITION BY e.job_id ORDER BY e.seq) AS before
  FROM upload_pipeline.events AS e) AS s
WHERE s.before IN ('finalized', 'cancelled', 'error') AND s.type <> 'redriven'",
    },
    Invariant {
        name: "a confirmed cancel that was undone",
        sql: "SELECT l.job_id, j.state, j.status FROM torture.ledger AS l JOIN upload_pipeline.upload_jobs AS j USING (job_id)
WHERE l.cancelled AND l.deleted IS NULL AND j.state <> 'cancelled'",
    },
    Invariant {
        name: "a hand-back that cost a try",
        sql: "SELECT h.job_id, h.old_tries, h.tries, h.old_crashes, h.crashes FROM torture.history AS h
WHERE h.old_state = 'working' AND h.state = 'queued' AND (h.tries > h.old_tries OR h.crashes > h.old_crashes)",
    },
    Invariant {
        name: "a try without a failure",
        sql: "SELECT h.job_id, h.old_tries, h.tries, h.old_crashes, h.crashes, h.ts
FROM torture.history AS h JOIN upload_pipeline.upload_jobs AS j USING (job_id)
WHERE (h.tries > h.old_tries OR h.crashes > h.old_crashes)
  AND (h.tries > h.old_tries + 1 OR h.crashes > h.old_crashes + 1 OR NOT EXISTS (
    SELECT FROM upload_pipeline.events AS e
    WHERE e.job_id = h.job_id AND e.ts = h.ts AND (e.type = 'retry' OR e.code = 'worker_died')))",
    },
    Invariant {
        name: "given up for killing workers after fewer than three deaths",
        sql: "SELECT j.job_id, n.deaths FROM upload_pipeline.upload_jobs AS j
CROSS JOIN LATERAL (SELECT count(*) AS deaths FROM upload_pipeline.events AS e WHERE e.job_id = j.job_id AND e.code = 'worker_died') AS n
WHERE j.state = 'deadletter' AND j.last_error ->> 'code' = 'worker_died' AND n.deaths < 3",
    },
    Invariant {
        name: "an end that neither the document nor its tries explain",
        sql: "SELECT j.job_id, l.wanted, j.state, j.status, j.last_error ->> 'code'
FROM torture.ledger AS l JOIN upload_pipeline.upload_jobs AS j USING (job_id)
CROSS JOIN LATERAL (SELECT count(*) AS tries FROM upload_pipeline.events AS e
  WHERE e.job_id = j.job_id AND (e.type = 'retry' OR e.code = 'worker_died')) AS n
WHERE NOT l.touched AND l.deleted IS NULL AND j.state IN ('done', 'deadletter', 'cancelled')
  AND CASE WHEN j.state = 'done' THEN l.wanted <> 'complete'
    WHEN j.state = 'deadletter' THEN j.last_error ->> 'code' <> l.wanted AND n.tries < 3
    ELSE true END",
    },
    Invariant {
        name: "given up: a good document",
        sql: "SELECT l.job_id, j.last_error ->> 'code' FROM torture.ledger AS l JOIN upload_pipeline.upload_jobs AS j USING (job_id)
WHERE l.wanted = 'complete' AND j.state = 'deadletter' AND NOT l.lost",
    },
    Invariant {
        name: "starved: a page that waited over 40 s for its first claim",
        sql: "SELECT w.job_id, round(w.seconds) || ' s' FROM torture.waits AS w WHERE w.seconds > 40",
    },
    Invariant {
        name: "rows of a deleted document",
        sql: "SELECT l.job_id, r.kind FROM torture.ledger AS l
JOIN (SELECT document_id, 'document' AS kind FROM upload_pipeline.documents
  UNION ALL SELECT document_id, 'job' FROM upload_pipeline.upload_jobs
  UNION ALL SELECT document_id, 'chunk' FROM upload_pipeline.document_chunks
  UNION ALL SELECT document_id, 'version' FROM upload_pipeline.document_versions
  UNION ALL SELECT document_id, 'event' FROM upload_pipeline.events
  UNION ALL SELECT document_id, 'upload' FROM upload_pipeline.uploads WHERE document_id IS NOT NULL) AS r USING (document_id)
WHERE l.deleted",
    },
    Invariant {
        name: "objects that no row names, or that are recorded as deleted",
        sql: "SELECT o.key, CASE WHEN s.storage_key IS NULL THEN 'unknown' ELSE 'deleted' END FROM torture.objects AS o
LEFT JOIN upload_pipeline.storage_deletions AS s ON s.storage_key = o.key AND s.deleted_at IS NOT NULL
WHERE o.key NOT LIKE 'deleted/%' AND NOT EXISTS (SELECT FROM torture.lost_keys AS k WHERE k.key = o.key)
  AND NOT EXISTS (SELECT FROM upload_pipeline.documents AS d WHERE o.key IN (d.raw_path, d.parsed_path))
  AND NOT EXISTS (SELECT FROM upload_pipeline.document_versions AS v WHERE o.key IN (v.raw_path, v.parsed_path))
  AND NOT EXISTS (SELECT FROM upload_pipeline.uploads AS u WHERE u.storage_key = o.key)
  AND NOT EXISTS (SELECT FROM upload_pipeline.storage_deletions AS s WHERE s.storage_key = o.key AND s.deleted_at IS NULL)",
    },
    Invariant {
        name: "missing objects of complete documents",
        sql: "SELECT j.job_id, d.raw_path FROM upload_pipeline.upload_jobs AS j
JOIN upload_pipeline.documents AS d USING (document_id)
WHERE j.status = 'complete' AND NOT EXISTS (SELECT FROM torture.lost_keys AS k WHERE k.key IN (d.raw_path, d.parsed_path))
  AND NOT (EXISTS (SELECT FROM torture.objects AS o WHERE o.key = d.raw_path)
  AND EXISTS (SELECT FROM torture.objects AS o WHERE o.key = d.parsed_path))",
    },
];

/// Shows that each query finds what it looks for: an empty result alone proves nothing.
#[tokio::test]
async fn each_query_finds_a_job_that_breaks_its_invariant() {
    const VIOLATIONS: &str = "
INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, parsed_path, processing_status)
SELECT format('00000000-0000-4000-8000-0000000000%s', n)::uuid, gen_random_uuid(), 'a', 'text/markdown', 1, n::text, 'raw/' || n, 'parsed/' || n, 'parsed'
FROM generate_series(10, 13) AS n;
INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, user_id, status, state, created_at)
SELECT format('10000000-0000-4000-8000-0000000000%s', n)::uuid, d.document_id, d.user_id, 'parsed', 'queued', now() + n * interval '1 second'
FROM generate_series(10, 14) AS n
JOIN upload_pipeline.documents AS d ON d.document_id = format('00000000-0000-4000-8000-0000000000%s', least(n, 13))::uuid;
-- Claimed, claimed by another worker, handed back with a try counted and to an earlier status.
UPDATE upload_pipeline.upload_jobs SET state = 'working', claimed_by = gen_random_uuid(), lease_epoch = 1
WHERE job_id = '10000000-0000-4000-8000-000000000010';
UPDATE upload_pipeline.upload_jobs SET claimed_by = gen_random_uuid() WHERE job_id = '10000000-0000-4000-8000-000000000010';
UPDATE upload_pipeline.upload_jobs SET state = 'queued', status = 'uploaded', claimed_by = NULL, retry_count = 1
WHERE job_id = '10000000-0000-4000-8000-000000000010';
-- Complete without a chunk.
UPDATE upload_pipeline.upload_jobs SET state = 'done', status = 'complete' WHERE job_id = '10000000-0000-4000-8000-000000000011';
-- Beside the version that the job has made, another one is searched.
INSERT INTO upload_pipeline.document_versions (document_id, version_no, user_id, state, filename, mime, bytes_len, file_sha256, raw_path)
SELECT d.document_id, 2, d.user_id, 'staged', 'a', 'text/markdown', 1, 'x', 'raw/11' FROM upload_pipeline.documents AS d
WHERE d.document_id = '00000000-0000-4000-8000-000000000011';
INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, version_no, created_at)
VALUES ('10000000-0000-4000-8000-000000000016', '00000000-0000-4000-8000-000000000011', 'complete', 'done', 2, now());
-- Given up without any death of a worker.
UPDATE upload_pipeline.upload_jobs SET state = 'deadletter', status = 'failed_parse', last_error = '{\"code\": \"worker_died\"}'
WHERE job_id = '10000000-0000-4000-8000-000000000012';
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code)
SELECT '10000000-0000-4000-8000-000000000011', '00000000-0000-4000-8000-000000000011', e.type, 'info', 'parsed'
FROM unnest(ARRAY['stage_started', 'stage_started', 'stage_done', 'stage_started', 'stage_done', 'stage_started', 'finalized', 'finalized']) AS e (type);
INSERT INTO torture.ledger VALUES
  (gen_random_uuid(), gen_random_uuid(), 'complete', false, false, NULL, false, false),
  ('10000000-0000-4000-8000-000000000010', '00000000-0000-4000-8000-000000000010', 'complete', true, true, NULL, false, false),
  ('10000000-0000-4000-8000-000000000012', '00000000-0000-4000-8000-000000000012', 'complete', false, false, NULL, false, false),
  ('10000000-0000-4000-8000-000000000013', '00000000-0000-4000-8000-000000000013', 'complete', false, true, true, false, false),
  ('10000000-0000-4000-8000-000000000015', '00000000-0000-4000-8000-000000000015', 'complete', false, false, NULL, false, false);
-- Claimed an hour after it was taken in.
INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path, processing_status)
VALUES ('00000000-0000-4000-8000-000000000015', gen_random_uuid(), 'a', 'text/markdown', 1, '15', 'raw/15', 'parsed');
INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, created_at)
VALUES ('10000000-0000-4000-8000-000000000015', '00000000-0000-4000-8000-000000000015', 'parsed', 'queued', now() - interval '1 hour');
UPDATE upload_pipeline.upload_jobs SET state = 'working', claimed_by = gen_random_uuid(), lease_epoch = 1
WHERE job_id = '10000000-0000-4000-8000-000000000015';
INSERT INTO torture.objects VALUES ('raw/99');";
    let test = crate::support::db::TestDb::new().await;
    super::history::install(&test.url).await;
    let blind = check(&test.url).await.into_iter().filter(|checked| !checked.broken.is_empty());
    assert_eq!(blind.map(|checked| checked.name).collect::<Vec<_>>(), [""; 0]);
    test.run(VIOLATIONS).await;
    let blind = check(&test.url).await.into_iter().filter(|checked| checked.broken.is_empty());
    assert_eq!(blind.map(|checked| checked.name).collect::<Vec<_>>(), [""; 0]);
}
