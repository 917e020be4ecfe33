-- What retention reads, and how the hot tables are vacuumed.
-- Only tables of this schema are touched, with rights that their owner has: the server may be shared.

-- The oldest events first; they come in order, so that an insert costs a place at the index's right edge.
CREATE INDEX IF NOT EXISTS ix_events_ts ON upload_pipeline.events (ts);
CREATE INDEX IF NOT EXISTS ix_webhook_log_processed ON upload_pipeline.webhook_log (processed_at);
CREATE INDEX IF NOT EXISTS ix_storage_deletions_done ON upload_pipeline.storage_deletions (deleted_at) WHERE deleted_at IS NOT NULL;
-- One user's failed jobs, for the redrive of many, and their count. No column that a running job changes is in it, so that
-- progress and heartbeats stay heap-only updates.
CREATE INDEX IF NOT EXISTS ix_upload_jobs_deadletter ON upload_pipeline.upload_jobs (user_id, job_id) WHERE state = 'deadletter';

-- Ended jobs are looked at in the order of their ids, some at a time: where the look has come to.
ALTER TABLE upload_pipeline.housekeeping ADD COLUMN IF NOT EXISTS position uuid;
COMMENT ON COLUMN upload_pipeline.housekeeping.position IS 'Where a chore of many turns goes on: behind this id; null: from the start.';
INSERT INTO upload_pipeline.housekeeping (task) VALUES ('ended_jobs') ON CONFLICT (task) DO NOTHING;

-- Uploads that were to be kept for ever, though their document was deleted or has newer bytes: now they expire.
UPDATE upload_pipeline.uploads AS u
SET expires_at = now() + interval '1 day'
WHERE u.expires_at = 'infinity'
  AND NOT EXISTS (
    SELECT FROM upload_pipeline.documents AS d
    WHERE d.document_id = u.document_id AND d.raw_path = u.storage_key);

-- The queue. Each job is updated a dozen times and then kept: the live rows are few, the dead ones many, and a share of
-- the whole table (the default: 20 %) would let the dead outnumber the live a thousand times before the first vacuum.
-- A fixed number instead, and without pauses: a vacuum skips the pages of ended jobs.
-- fillfactor: room on each page for the next version of its rows, so that progress and heartbeats stay heap-only.
ALTER TABLE upload_pipeline.upload_jobs SET (
  fillfactor = 80,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_scale_factor = 0.02,
  autovacuum_analyze_threshold = 2000
);

-- Each worker's row is updated at every heartbeat; the table has one page or a few, and should keep them.
ALTER TABLE upload_pipeline.workers SET (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 200,
  autovacuum_vacuum_cost_delay = 0
);

-- Events are written once, read soon and deleted by age: vacuumed a little at a time, with the default pauses.
ALTER TABLE upload_pipeline.events SET (
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05
);

-- Each chunk is written twice, the second time with its vector: rows of kilobytes, whose dead versions HNSW and GIN carry along. A
-- vacuum also takes in what GIN has pending, which every search by words reads through meanwhile.
ALTER TABLE upload_pipeline.document_chunks SET (
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05
);
