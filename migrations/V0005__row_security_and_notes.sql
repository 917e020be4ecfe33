-- Every table is closed by default. `app` connects as the owner, whom row-level security does not bind; the policies
-- that let a Supabase `authenticated` user read its own rows are ensured at every `app migrate`, where that role exists.

ALTER TABLE upload_pipeline.documents         ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.upload_jobs       ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.document_chunks   ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.events            ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.webhook_log       ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.workers           ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.uploads           ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.api_keys          ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.idempotency_keys  ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.storage_deletions ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.housekeeping      ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.environment_stamp ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.environment_moves ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.provider_calls    ENABLE ROW LEVEL SECURITY;

CREATE OR REPLACE VIEW upload_pipeline.architecture_notes AS
SELECT note.architecture_type, note.description, timestamptz '2026-11-22 00:00:00+00' AS documented_at
FROM (VALUES
  ('direct_write', 'Chunks and vectors go straight to document_chunks; search reads complete documents only.'),
  ('queue', 'upload_jobs is the queue. status is the checkpoint, state says who has the job; a claim writes owner, lease and epoch in one statement.'),
  ('fence', 'Every write of a worker names claimed_by and lease_epoch: a worker that lost its lease changes nothing.'),
  ('wake_up', 'Polling is the truth. A row inserted without enqueued_by notifies the channel upload_jobs by trigger; the API sends one NOTIFY for many.'),
  ('identifiers', 'document_id = UUIDv5 of user_id:file_sha256, chunk_id = UUIDv5 of document_id:chunker:version:ordinal; doing a step twice changes nothing.'),
  ('vectors', 'embedding has no fixed dimension and is null until it is real. Each model that has enough vectors gets a partial HNSW index of its own.'),
  ('full_text', 'tsv is generated from heading and text; search fuses it with the vectors by reciprocal rank.'),
  ('uploads', 'A row in uploads precedes the first byte of an object, so that nothing can be stored that housekeeping would not find.'),
  ('deletion', 'Deleting a document removes its rows at once and queues its stored objects in storage_deletions; the receipt is pending until they are gone.'),
  ('row_security', 'Row-level security is on for every table. A Supabase authenticated user reads its own rows and writes none.')
) AS note (architecture_type, description);

COMMENT ON SCHEMA upload_pipeline IS 'Documents, their processing and their chunks; see the view architecture_notes.';

COMMENT ON COLUMN upload_pipeline.architecture_notes.architecture_type IS 'What the note is about.';
COMMENT ON COLUMN upload_pipeline.architecture_notes.description IS 'The decision.';
COMMENT ON COLUMN upload_pipeline.architecture_notes.documented_at IS 'When it was written.';
