-- Vectors packed by document, in place of the HNSW over all users: it found .64 to .89 of the nearest passages of a user who
-- owns a small part of the vectors. A search compares the packed vectors of the caller's documents in the service, and
-- the nearest of them by their real vectors.

CREATE TABLE upload_pipeline.search_vectors (
  document_no   int      PRIMARY KEY REFERENCES upload_pipeline.search_documents (document_no) ON DELETE CASCADE,
  embed_model   text     NOT NULL,
  embed_version text     NOT NULL,
  version       smallint NOT NULL,
  packed        bytea    NOT NULL
);
-- They do not compress.
ALTER TABLE upload_pipeline.search_vectors ALTER COLUMN packed SET STORAGE EXTERNAL;
ALTER TABLE upload_pipeline.search_vectors ENABLE ROW LEVEL SECURITY;

-- The numbers of a user's documents are read from the index alone.
DROP INDEX upload_pipeline.ix_search_documents_user;
CREATE INDEX ix_search_documents_user ON upload_pipeline.search_documents (user_no) INCLUDE (document_no, passages);

DO $$
DECLARE
  old record;
BEGIN
  FOR old IN
    SELECT c.relname
    FROM pg_class AS c
    WHERE c.relnamespace = 'upload_pipeline'::regnamespace AND c.relkind = 'i' AND c.relname LIKE 'ix\_chunks\_hnsw\_%'
  LOOP
    EXECUTE format('DROP INDEX upload_pipeline.%I', old.relname);
  END LOOP;
END
$$;

CREATE OR REPLACE VIEW upload_pipeline.architecture_notes AS
SELECT note.architecture_type, note.description, timestamptz '2026-11-30 00:00:00+00' AS documented_at
FROM (VALUES
  ('direct_write', 'Chunks and vectors go straight to document_chunks; search reads complete documents only.'),
  ('queue', 'upload_jobs is the queue. status is the checkpoint, state says who has the job; a claim writes owner, lease and epoch in one statement.'),
  ('fence', 'Every write of a worker names claimed_by and lease_epoch: a worker that lost its lease changes nothing.'),
  ('wake_up', 'Polling is the truth. A row inserted without enqueued_by notifies the channel upload_jobs by trigger; the API sends one NOTIFY for many.'),
  ('identifiers', 'document_id = UUIDv5 of user_id:file_sha256, chunk_id = UUIDv5 of document_id:chunker:version:ordinal; doing a step twice changes nothing.'),
  ('vectors', 'embedding has no fixed dimension and is null until it is real. search_vectors holds them packed by document; the service compares those of the caller, then the nearest by embedding itself.'),
  ('words', 'search_words holds postings for each user, term and block of passages; the service scores them by BM25 and fuses them with the vectors.'),
  ('uploads', 'A row in uploads precedes the first byte of an object, so that nothing can be stored that housekeeping would not find.'),
  ('deletion', 'Deleting a document removes its rows at once and queues its stored objects in storage_deletions; the receipt is pending until they are gone.'),
  ('row_security', 'Row-level security is on for every table. A Supabase authenticated user reads its own rows and writes none.')
) AS note (architecture_type, description);

COMMENT ON TABLE upload_pipeline.search_vectors IS 'The vectors of a document packed into two bits a component; the crate `vectors` says how.';
COMMENT ON COLUMN upload_pipeline.search_vectors.document_no IS 'The document, as in search_documents; a new number each time it is indexed, so that a row never changes.';
COMMENT ON COLUMN upload_pipeline.search_vectors.embed_model IS 'The model of the vectors.';
COMMENT ON COLUMN upload_pipeline.search_vectors.embed_version IS 'The version of that model.';
COMMENT ON COLUMN upload_pipeline.search_vectors.version IS 'The version of the packing.';
COMMENT ON COLUMN upload_pipeline.search_vectors.packed IS 'The mean of the vectors, then each in the order of the passages.';
