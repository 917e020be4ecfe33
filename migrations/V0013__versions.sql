-- Versions of a document, so that one can be replaced in place. `documents` and `document_chunks` hold the active version and nothing
-- else: other programs and builds read them as before. What is on its way to become the active version, and what was it
-- before, stands in two tables of its own.

ALTER TABLE upload_pipeline.documents
  ADD COLUMN version_no   int NOT NULL DEFAULT 1,
  ADD COLUMN last_version int NOT NULL DEFAULT 1,
  ADD COLUMN version_at   timestamptz;
ALTER TABLE upload_pipeline.document_chunks ADD COLUMN version_no int NOT NULL DEFAULT 1;
ALTER TABLE upload_pipeline.upload_jobs ADD COLUMN version_no int;

CREATE TABLE upload_pipeline.document_versions (
  document_id   uuid        NOT NULL REFERENCES upload_pipeline.documents (document_id) ON DELETE CASCADE,
  version_no    int         NOT NULL,
  user_id       uuid        NOT NULL,
  state         text        NOT NULL,
  filename      text        NOT NULL,
  mime          text        NOT NULL,
  bytes_len     bigint      NOT NULL,
  file_sha256   text        NOT NULL,
  raw_path      text        NOT NULL,
  reading       uuid,
  parsed_path   text,
  parsed_sha256 text,
  kind          text,
  parser        text,
  page_count    int,
  record        jsonb,
  layout        text,
  metadata      jsonb,
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_document_versions PRIMARY KEY (document_id, version_no),
  CONSTRAINT ck_document_versions_state CHECK (state IN ('staged', 'previous')),
  CONSTRAINT ck_document_versions_metadata CHECK (jsonb_typeof(metadata) = 'object')
);
-- Whether the owner has these bytes as a version; and the oldest first, for retention.
CREATE INDEX ix_document_versions_hash ON upload_pipeline.document_versions (user_id, file_sha256);
CREATE INDEX ix_document_versions_updated ON upload_pipeline.document_versions (updated_at);

CREATE TABLE upload_pipeline.version_chunks (
  chunk_id         uuid        NOT NULL,
  document_id      uuid        NOT NULL,
  version_no       int         NOT NULL,
  chunker_name     text        NOT NULL,
  chunker_version  text        NOT NULL,
  chunk_ord        int         NOT NULL,
  text             text        NOT NULL,
  chunk_sha        text        NOT NULL,
  embed_model      text,
  embed_version    text,
  vector_dim       int,
  embedding        vector,
  embed_updated_at timestamptz,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now(),
  heading          text        NOT NULL DEFAULT '',
  page_first       int,
  page_last        int,
  token_count      int,
  boxes            jsonb,
  page_label       text,
  CONSTRAINT pk_version_chunks PRIMARY KEY (chunk_id),
  CONSTRAINT uq_version_chunks_ord UNIQUE (document_id, version_no, chunker_name, chunker_version, chunk_ord),
  CONSTRAINT version_chunks_version_fkey FOREIGN KEY (document_id, version_no)
    REFERENCES upload_pipeline.document_versions (document_id, version_no) ON DELETE CASCADE,
  CONSTRAINT ck_version_chunks_vector
    CHECK (embedding IS NULL OR (vector_dim IS NOT NULL AND vector_dims(embedding) = vector_dim
      AND embed_model IS NOT NULL AND embed_version IS NOT NULL)),
  CONSTRAINT ck_version_chunks_not_zero CHECK (embedding IS NULL OR vector_norm(embedding) > 0),
  CONSTRAINT ck_version_chunks_pages CHECK (page_first IS NULL OR (page_first >= 1 AND page_last >= page_first))
);
-- Rows come, are embedded and go again, as in document_chunks.
ALTER TABLE upload_pipeline.version_chunks SET (
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_analyze_scale_factor = 0.05
);

ALTER TABLE upload_pipeline.document_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.version_chunks    ENABLE ROW LEVEL SECURITY;

-- A build that knows no versions would work on the active one in place of the version that the job makes. A claim by a build that
-- knows them says so; any other leaves the job as it is, for the next one.
CREATE FUNCTION upload_pipeline.leave_version_job() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RETURN NULL;
END
$$;
CREATE TRIGGER tr_upload_jobs_leave_version BEFORE UPDATE OF claimed_by ON upload_pipeline.upload_jobs
  FOR EACH ROW
  WHEN (NEW.version_no IS NOT NULL AND NEW.claimed_by IS NOT NULL AND NEW.claimed_by IS DISTINCT FROM OLD.claimed_by
    AND current_setting('upload_pipeline.knows_versions', true) IS DISTINCT FROM 'on')
  EXECUTE FUNCTION upload_pipeline.leave_version_job();

-- In place of advance_job, which earlier builds call: the document keeps its status while the job makes another version of it.
CREATE FUNCTION upload_pipeline.checkpoint_job(
  p_job      uuid,
  p_worker   uuid,
  p_epoch    bigint,  -- with the worker, the fence
  p_from     text[],  -- the statuses that the step began at
  p_to       text,    -- the checkpoint
  p_progress jsonb,   -- merged into the job's counts
  p_done     jsonb,   -- what the event tells of the step
  p_next     text     -- the step that begins
) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_document    uuid;
  v_version     int;
  v_correlation uuid;
BEGIN
  UPDATE upload_pipeline.upload_jobs AS j
  SET status = p_to, progress = j.progress || p_progress, retry_count = 0, crash_count = 0, step_started_at = now(), updated_at = now()
  WHERE j.job_id = p_job AND j.claimed_by = p_worker AND j.lease_epoch = p_epoch AND j.state || '' = 'working'
    AND j.status = ANY (p_from)
  RETURNING j.document_id, j.version_no, j.correlation_id INTO v_document, v_version, v_correlation;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  IF v_version IS NULL OR NOT EXISTS (
    SELECT FROM upload_pipeline.document_versions AS v WHERE v.document_id = v_document AND v.version_no = v_version
  ) THEN
    UPDATE upload_pipeline.documents AS d
    SET processing_status = p_to, updated_at = now()
    WHERE d.document_id = v_document;
  END IF;
  INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
  SELECT p_job, v_document, what.type, 'info', what.code, what.payload, v_correlation
  FROM (VALUES ('stage_done', p_to, p_done), ('stage_started', p_next, NULL)) AS what (type, code, payload)
  WHERE what.code IS NOT NULL;
  RETURN true;
END
$$;
COMMENT ON FUNCTION upload_pipeline.checkpoint_job IS 'Writes the next checkpoint of a job in hand; false: the lease is lost.';

CREATE OR REPLACE VIEW upload_pipeline.architecture_notes AS
SELECT note.architecture_type, note.description, timestamptz '2026-12-01 00:00:00+00' AS documented_at
FROM (VALUES
  ('direct_write', 'Chunks and vectors go straight to document_chunks; search reads complete documents only.'),
  ('queue', 'upload_jobs is the queue. status is the checkpoint, state says who has the job; a claim writes owner, lease and epoch in one statement.'),
  ('fence', 'Every write of a worker names claimed_by and lease_epoch: a worker that lost its lease changes nothing.'),
  ('wake_up', 'Polling is the truth. A row inserted without enqueued_by notifies the channel upload_jobs by trigger; the API sends one NOTIFY for many.'),
  ('identifiers', 'document_id = UUIDv5 of user_id:file_sha256 of its first version, chunk_id = UUIDv5 of document_id:chunker:version:ordinal, from version 2 on with the number; doing a step twice changes nothing.'),
  ('versions', 'documents and document_chunks hold the active version of a document. One that is being made, or was active before, stands in document_versions and version_chunks; the last step swaps them in one transaction.'),
  ('vectors', 'embedding has no fixed dimension and is null until it is real. search_vectors holds them packed by document; the service compares those of the caller, then the nearest by embedding itself.'),
  ('words', 'search_words holds postings for each user, term and block of passages; the service scores them by BM25 and fuses them with the vectors.'),
  ('uploads', 'A row in uploads precedes the first byte of an object, so that nothing can be stored that housekeeping would not find.'),
  ('deletion', 'Deleting a document removes its rows at once and queues its stored objects in storage_deletions; the receipt is pending until they are gone.'),
  ('row_security', 'Row-level security is on for every table. A Supabase authenticated user reads its own rows and writes none.')
) AS note (architecture_type, description);

COMMENT ON COLUMN upload_pipeline.documents.processing_status IS 'The status of its active version: of its latest job, unless that makes another version.';
COMMENT ON COLUMN upload_pipeline.documents.version_no IS 'The number of the active version: the one that this row and document_chunks hold.';
COMMENT ON COLUMN upload_pipeline.documents.last_version IS 'The highest number that a version of it was ever given.';
COMMENT ON COLUMN upload_pipeline.documents.version_at IS 'When the active version was uploaded; null: with the document.';
COMMENT ON COLUMN upload_pipeline.document_chunks.version_no IS 'The version of the document that it is part of.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.version_no IS 'The version that it makes; null: the active one.';

COMMENT ON TABLE upload_pipeline.document_versions IS 'Versions of documents that are not active: on the way to it, failed on it, or active before. One with the number of the active version is a new reading of that.';
COMMENT ON COLUMN upload_pipeline.document_versions.document_id IS 'The document.';
COMMENT ON COLUMN upload_pipeline.document_versions.version_no IS 'Its number, from 1.';
COMMENT ON COLUMN upload_pipeline.document_versions.user_id IS 'The owner.';
COMMENT ON COLUMN upload_pipeline.document_versions.state IS 'staged: it was never active as it is here, and a job makes it or has failed to; previous: it was active.';
COMMENT ON COLUMN upload_pipeline.document_versions.filename IS 'As the client named it; never a path.';
COMMENT ON COLUMN upload_pipeline.document_versions.mime IS 'The declared media type.';
COMMENT ON COLUMN upload_pipeline.document_versions.bytes_len IS 'Size in bytes.';
COMMENT ON COLUMN upload_pipeline.document_versions.file_sha256 IS 'SHA-256 of the bytes, 64 lower-case hex digits.';
COMMENT ON COLUMN upload_pipeline.document_versions.raw_path IS 'Key of the uploaded bytes in the object store; empty once they were removed.';
COMMENT ON COLUMN upload_pipeline.document_versions.reading IS 'Names its markdown in the object store while it is made; null: the job''s id does.';
COMMENT ON COLUMN upload_pipeline.document_versions.parsed_path IS 'Key of the markdown in the object store; null until parsed.';
COMMENT ON COLUMN upload_pipeline.document_versions.parsed_sha256 IS 'SHA-256 of the normalised markdown; null until validated.';
COMMENT ON COLUMN upload_pipeline.document_versions.kind IS 'What the file is by its content, as in documents; null until parsed.';
COMMENT ON COLUMN upload_pipeline.document_versions.parser IS 'What parsed it; null until parsed.';
COMMENT ON COLUMN upload_pipeline.document_versions.page_count IS 'Pages, slides or sheets; null until parsed.';
COMMENT ON COLUMN upload_pipeline.document_versions.record IS 'How its pages were read, as in documents; null until parsed.';
COMMENT ON COLUMN upload_pipeline.document_versions.layout IS 'Where the lines of its markdown stand, as in documents.';
COMMENT ON COLUMN upload_pipeline.document_versions.metadata IS 'What the client says of the document from the moment this version is active; null: what was said before.';
COMMENT ON COLUMN upload_pipeline.document_versions.created_at IS 'When it was uploaded.';
COMMENT ON COLUMN upload_pipeline.document_versions.updated_at IS 'When the row last changed: of a previous version, when it ceased to be active. Retention counts from here.';

COMMENT ON TABLE upload_pipeline.version_chunks IS 'Passages of versions that are not active; columns as in document_chunks.';
COMMENT ON COLUMN upload_pipeline.version_chunks.chunk_id IS 'As in document_chunks.';
COMMENT ON COLUMN upload_pipeline.version_chunks.document_id IS 'The document that it is part of.';
COMMENT ON COLUMN upload_pipeline.version_chunks.version_no IS 'The version that it is part of.';
COMMENT ON COLUMN upload_pipeline.version_chunks.chunker_name IS 'What cut it.';
COMMENT ON COLUMN upload_pipeline.version_chunks.chunker_version IS 'Which version of that cut it.';
COMMENT ON COLUMN upload_pipeline.version_chunks.chunk_ord IS 'Its place in the version, from 0.';
COMMENT ON COLUMN upload_pipeline.version_chunks.text IS 'The passage, as markdown.';
COMMENT ON COLUMN upload_pipeline.version_chunks.chunk_sha IS 'SHA-256 of heading, a line feed and text, 64 lower-case hex digits.';
COMMENT ON COLUMN upload_pipeline.version_chunks.embed_model IS 'The model of the vector; null until embedded.';
COMMENT ON COLUMN upload_pipeline.version_chunks.embed_version IS 'The version of that model; null until embedded.';
COMMENT ON COLUMN upload_pipeline.version_chunks.vector_dim IS 'Components of the vector; null until embedded.';
COMMENT ON COLUMN upload_pipeline.version_chunks.embedding IS 'The vector, never of zeros; null until embedded.';
COMMENT ON COLUMN upload_pipeline.version_chunks.embed_updated_at IS 'When the vector was made; null until embedded.';
COMMENT ON COLUMN upload_pipeline.version_chunks.created_at IS 'When the row was made.';
COMMENT ON COLUMN upload_pipeline.version_chunks.updated_at IS 'When the row last changed.';
COMMENT ON COLUMN upload_pipeline.version_chunks.heading IS 'The headings above the passage, outermost first, joined by " > ".';
COMMENT ON COLUMN upload_pipeline.version_chunks.page_first IS 'First page it stands on, from 1; null where the format has no pages.';
COMMENT ON COLUMN upload_pipeline.version_chunks.page_last IS 'Last page it stands on.';
COMMENT ON COLUMN upload_pipeline.version_chunks.token_count IS 'Tokens of heading and text for the model, without its special tokens.';
COMMENT ON COLUMN upload_pipeline.version_chunks.boxes IS 'Where the passage stands, as in document_chunks; null if unknown.';
COMMENT ON COLUMN upload_pipeline.version_chunks.page_label IS 'What is printed on its first page as the number; null if that is the number itself, or unknown.';
