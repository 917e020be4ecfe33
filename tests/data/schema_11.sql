-- A database as the last build before 0.1.0 left it: schema 11, its eleven migrations as they were, their history, and rows in
-- every table: for the test that carries it over without losing one.
CREATE SCHEMA upload_pipeline;

-- V0001__documents_and_jobs.sql
-- Documents and their jobs: created where there are none, adopted where the system being replaced left its own
-- (its rows stay; what they lack is added, what they contradict is mended and said so in last_error).

CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE IF NOT EXISTS upload_pipeline.documents (
  document_id       uuid        PRIMARY KEY,
  user_id           uuid        NOT NULL,
  filename          text        NOT NULL,
  mime              text        NOT NULL,
  bytes_len         bigint      NOT NULL,
  file_sha256       text        NOT NULL,
  parsed_sha256     text,
  raw_path          text        NOT NULL,
  parsed_path       text,
  processing_status text,
  created_at        timestamptz DEFAULT now(),
  updated_at        timestamptz DEFAULT now()
);

UPDATE upload_pipeline.documents
SET created_at = coalesce(created_at, updated_at, now()),
    updated_at = coalesce(updated_at, created_at, now())
WHERE created_at IS NULL OR updated_at IS NULL;

ALTER TABLE upload_pipeline.documents
  ALTER COLUMN created_at SET NOT NULL,
  ALTER COLUMN updated_at SET NOT NULL,
  ADD COLUMN IF NOT EXISTS kind       text,
  ADD COLUMN IF NOT EXISTS parser     text,
  ADD COLUMN IF NOT EXISTS page_count int;

DO $$
DECLARE
  duplicates text;
BEGIN
  SELECT string_agg(format('user %s, sha256 %s: documents %s', user_id, file_sha256, ids), E'\n')
  INTO duplicates
  FROM (
    SELECT user_id, file_sha256, string_agg(document_id::text, ', ' ORDER BY created_at) AS ids
    FROM upload_pipeline.documents
    GROUP BY user_id, file_sha256
    HAVING count(*) > 1
    LIMIT 50
  ) AS same;
  IF duplicates IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'unique_violation',
      MESSAGE = 'documents holds the same content of the same user more than once, which (user_id, file_sha256) forbids',
      DETAIL = duplicates,
      HINT = 'Keep one document of each line, delete the others, and run `app migrate` again. Nothing was changed.';
  END IF;
END
$$;

CREATE UNIQUE INDEX IF NOT EXISTS uq_user_filehash ON upload_pipeline.documents (user_id, file_sha256);
CREATE INDEX IF NOT EXISTS ix_documents_user_created ON upload_pipeline.documents (user_id, created_at DESC, document_id DESC);

CREATE TABLE IF NOT EXISTS upload_pipeline.upload_jobs (
  job_id      uuid        PRIMARY KEY,
  document_id uuid        NOT NULL,
  status      text,
  state       text        NOT NULL,
  progress    jsonb       DEFAULT '{}',
  retry_count int         DEFAULT 0,
  last_error  jsonb,
  created_at  timestamptz DEFAULT now(),
  updated_at  timestamptz DEFAULT now()
);

-- The replaced system's constraints go first: its state list has no `cancelled`, its foreign key does not cascade.
ALTER TABLE upload_pipeline.upload_jobs
  DROP CONSTRAINT IF EXISTS upload_jobs_state_check,
  DROP CONSTRAINT IF EXISTS ck_upload_jobs_state,
  DROP CONSTRAINT IF EXISTS ck_upload_jobs_status,
  DROP CONSTRAINT IF EXISTS upload_jobs_document_id_fkey;

ALTER TABLE upload_pipeline.upload_jobs
  ADD COLUMN IF NOT EXISTS user_id           uuid,
  ADD COLUMN IF NOT EXISTS priority          smallint         NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS claimed_by        uuid,
  ADD COLUMN IF NOT EXISTS claimed_at        timestamptz,
  ADD COLUMN IF NOT EXISTS lease_expires_at  timestamptz,
  ADD COLUMN IF NOT EXISTS lease_epoch       bigint           NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS step_started_at   timestamptz,
  ADD COLUMN IF NOT EXISTS crash_count       int              NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS run_at            timestamptz      NOT NULL DEFAULT now(),
  ADD COLUMN IF NOT EXISTS upload_expires_at timestamptz,
  ADD COLUMN IF NOT EXISTS enqueued_by       text,
  ADD COLUMN IF NOT EXISTS correlation_id    uuid,
  ADD COLUMN IF NOT EXISTS cost_cents        double precision NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS started_at        timestamptz,
  ADD COLUMN IF NOT EXISTS finished_at       timestamptz;

-- Mend what no row may be: the checks below hold for every row that a worker will ever touch.
UPDATE upload_pipeline.upload_jobs
SET progress = coalesce(progress, '{}'),
    retry_count = coalesce(retry_count, 0),
    status = coalesce(status, 'uploaded'),
    created_at = coalesce(created_at, updated_at, now()),
    updated_at = coalesce(updated_at, created_at, now())
WHERE progress IS NULL OR retry_count IS NULL OR status IS NULL OR created_at IS NULL OR updated_at IS NULL;

UPDATE upload_pipeline.upload_jobs AS j
SET user_id = d.user_id
FROM upload_pipeline.documents AS d
WHERE d.document_id = j.document_id AND j.user_id IS NULL;

UPDATE upload_pipeline.upload_jobs
SET state = 'done', finished_at = updated_at
WHERE status IN ('complete', 'duplicate') AND state <> 'done';

-- The replaced system wrote `failed_parse` whatever failed and never tried again: such a job waits for a person.
UPDATE upload_pipeline.upload_jobs
SET state = 'deadletter',
    finished_at = updated_at,
    last_error = coalesce(last_error, '{}') || jsonb_build_object(
      'code', coalesce(last_error ->> 'code', 'adopted_failure'),
      'message', coalesce(last_error ->> 'message',
        'The system being replaced had given this document up without a reason. Retry the job to process it again.'),
      'checkpoint', CASE status WHEN 'failed_parse' THEN 'uploaded' WHEN 'failed_chunking' THEN 'parse_validated' ELSE 'chunks_stored' END)
WHERE status IN ('failed_parse', 'failed_chunking', 'failed_embedding') AND state <> 'deadletter';

UPDATE upload_pipeline.upload_jobs
SET last_error = coalesce(last_error, '{}') || jsonb_build_object(
      'code', coalesce(last_error ->> 'code', 'adopted_contradiction'),
      'message', coalesce(last_error ->> 'message', format(
        'The system being replaced left this job with status %s and state %s. Retry the job to go on from its checkpoint.', status, state)),
      'checkpoint', status),
    status = CASE
      WHEN status IN ('uploaded', 'parse_queued', 'parsed') THEN 'failed_parse'
      WHEN status IN ('parse_validated', 'chunking') THEN 'failed_chunking'
      ELSE 'failed_embedding' END,
    state = 'deadletter',
    finished_at = updated_at
WHERE state IN ('done', 'deadletter')
  AND status NOT IN ('complete', 'duplicate', 'failed_parse', 'failed_chunking', 'failed_embedding');

UPDATE upload_pipeline.documents AS d
SET processing_status = j.status
FROM (
  SELECT DISTINCT ON (document_id) document_id, status
  FROM upload_pipeline.upload_jobs
  ORDER BY document_id, created_at DESC, job_id DESC
) AS j
WHERE j.document_id = d.document_id AND d.processing_status IS DISTINCT FROM j.status;

ALTER TABLE upload_pipeline.upload_jobs
  ALTER COLUMN user_id SET NOT NULL,
  ALTER COLUMN status SET NOT NULL,
  ALTER COLUMN progress SET NOT NULL,
  ALTER COLUMN progress SET DEFAULT '{}',
  ALTER COLUMN retry_count SET NOT NULL,
  ALTER COLUMN retry_count SET DEFAULT 0,
  ALTER COLUMN created_at SET NOT NULL,
  ALTER COLUMN updated_at SET NOT NULL,
  ADD CONSTRAINT upload_jobs_document_id_fkey
    FOREIGN KEY (document_id) REFERENCES upload_pipeline.documents (document_id) ON DELETE CASCADE NOT VALID,
  ADD CONSTRAINT ck_upload_jobs_state
    CHECK (state IN ('queued', 'working', 'retryable', 'done', 'deadletter', 'cancelled')) NOT VALID,
  ADD CONSTRAINT ck_upload_jobs_status
    CHECK (status IN ('uploaded', 'parse_queued', 'parsed', 'parse_validated', 'chunking', 'chunks_stored', 'embedding_queued',
      'embedding_in_progress', 'embeddings_stored', 'complete', 'duplicate', 'failed_parse', 'failed_chunking', 'failed_embedding')) NOT VALID,
  ADD CONSTRAINT ck_upload_jobs_done
    CHECK ((state = 'done') = (status IN ('complete', 'duplicate'))) NOT VALID,
  ADD CONSTRAINT ck_upload_jobs_deadletter
    CHECK ((state = 'deadletter') = (status IN ('failed_parse', 'failed_chunking', 'failed_embedding'))) NOT VALID,
  ADD CONSTRAINT ck_upload_jobs_progress
    CHECK (jsonb_typeof(progress) = 'object') NOT VALID;

-- Claimable jobs only, in the order of the claim: finished jobs cost it nothing.
CREATE INDEX IF NOT EXISTS ix_upload_jobs_claim
  ON upload_pipeline.upload_jobs (priority, user_id, run_at, job_id)
  WHERE state IN ('queued', 'retryable');
-- Running jobs: takeover and the bound per user read it whole; it has as many entries as the fleet has slots.
-- The lease is not in it, so that a heartbeat stays a heap-only update.
CREATE INDEX IF NOT EXISTS ix_upload_jobs_working ON upload_pipeline.upload_jobs (user_id) WHERE state = 'working';
CREATE INDEX IF NOT EXISTS ix_upload_jobs_document ON upload_pipeline.upload_jobs (document_id, created_at DESC);
CREATE INDEX IF NOT EXISTS ix_upload_jobs_user_created ON upload_pipeline.upload_jobs (user_id, created_at DESC, job_id DESC);

-- A foreign INSERT names no user; the document knows it.
CREATE FUNCTION upload_pipeline.fill_job_user() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  SELECT d.user_id INTO NEW.user_id FROM upload_pipeline.documents AS d WHERE d.document_id = NEW.document_id;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'foreign_key_violation',
      MESSAGE = format('there is no document %s for job %s', NEW.document_id, NEW.job_id),
      HINT = 'Insert the row of upload_pipeline.documents first, in the same transaction or before it.';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER tr_upload_jobs_fill_user BEFORE INSERT ON upload_pipeline.upload_jobs
  FOR EACH ROW WHEN (NEW.user_id IS NULL) EXECUTE FUNCTION upload_pipeline.fill_job_user();

-- A foreign INSERT wakes the workers at once. The API's own rows (enqueued_by is set) do not notify here: NOTIFY
-- takes one lock for all committing sessions, so the API sends one for many, after its commits.
CREATE FUNCTION upload_pipeline.notify_foreign_job() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  PERFORM pg_notify('upload_jobs', '');
  RETURN NULL;
END
$$;
CREATE TRIGGER tr_upload_jobs_notify AFTER INSERT ON upload_pipeline.upload_jobs
  FOR EACH ROW WHEN (NEW.enqueued_by IS NULL) EXECUTE FUNCTION upload_pipeline.notify_foreign_job();

-- V0002__chunks.sql
-- Chunks and their vectors. `embedding` is null until it is real; its dimension is the model's, not the column's.

CREATE TABLE IF NOT EXISTS upload_pipeline.document_chunks (
  chunk_id         uuid        PRIMARY KEY,
  document_id      uuid        NOT NULL,
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
  updated_at       timestamptz NOT NULL DEFAULT now()
);

UPDATE upload_pipeline.document_chunks
SET created_at = coalesce(created_at, updated_at, now()),
    updated_at = coalesce(updated_at, created_at, now())
WHERE created_at IS NULL OR updated_at IS NULL;

-- The replaced system's indexes on `embedding` need its fixed dimension; `app migrate` builds one a model instead.
DO $$
DECLARE
  old record;
BEGIN
  FOR old IN
    SELECT i.indexrelid::regclass AS name
    FROM pg_index AS i
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attname = 'embedding' AND a.attnum = ANY (i.indkey)
    WHERE i.indrelid = 'upload_pipeline.document_chunks'::regclass
  LOOP
    EXECUTE format('DROP INDEX %s', old.name);
  END LOOP;
END
$$;

ALTER TABLE upload_pipeline.document_chunks
  DROP CONSTRAINT IF EXISTS document_chunks_vector_dim_check,
  DROP CONSTRAINT IF EXISTS document_chunks_document_id_fkey,
  ALTER COLUMN embedding TYPE vector,
  ALTER COLUMN embedding DROP NOT NULL,
  ALTER COLUMN embed_model DROP NOT NULL,
  ALTER COLUMN embed_version DROP NOT NULL,
  ALTER COLUMN vector_dim DROP NOT NULL,
  ALTER COLUMN embed_updated_at DROP DEFAULT,
  ALTER COLUMN created_at SET NOT NULL,
  ALTER COLUMN updated_at SET NOT NULL,
  ADD COLUMN IF NOT EXISTS heading     text NOT NULL DEFAULT '',
  ADD COLUMN IF NOT EXISTS page_first  int,
  ADD COLUMN IF NOT EXISTS page_last   int,
  ADD COLUMN IF NOT EXISTS token_count int,
  ADD COLUMN IF NOT EXISTS tsv         tsvector
    GENERATED ALWAYS AS (to_tsvector('english', coalesce(heading, '') || ' ' || text)) STORED;

-- A vector of zeros stood for "not embedded yet", and search read it.
UPDATE upload_pipeline.document_chunks
SET embedding = NULL, embed_model = NULL, embed_version = NULL, vector_dim = NULL, embed_updated_at = NULL
WHERE embedding IS NOT NULL AND vector_norm(embedding) = 0;

DO $$
DECLARE
  duplicates text;
BEGIN
  SELECT string_agg(format('document %s, %s %s, ordinal %s: %s rows', document_id, chunker_name, chunker_version, chunk_ord, n), E'\n')
  INTO duplicates
  FROM (
    SELECT document_id, chunker_name, chunker_version, chunk_ord, count(*) AS n
    FROM upload_pipeline.document_chunks
    GROUP BY document_id, chunker_name, chunker_version, chunk_ord
    HAVING count(*) > 1
    LIMIT 50
  ) AS same;
  IF duplicates IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'unique_violation',
      MESSAGE = 'document_chunks holds the same chunk more than once, which (document_id, chunker_name, chunker_version, chunk_ord) forbids',
      DETAIL = duplicates,
      HINT = 'Keep one row of each line, delete the others, and run `app migrate` again. Nothing was changed.';
  END IF;
END
$$;

CREATE UNIQUE INDEX IF NOT EXISTS uq_document_chunks_ord
  ON upload_pipeline.document_chunks (document_id, chunker_name, chunker_version, chunk_ord);
CREATE INDEX IF NOT EXISTS ix_document_chunks_tsv ON upload_pipeline.document_chunks USING gin (tsv);

ALTER TABLE upload_pipeline.document_chunks
  ADD CONSTRAINT document_chunks_document_id_fkey
    FOREIGN KEY (document_id) REFERENCES upload_pipeline.documents (document_id) ON DELETE CASCADE NOT VALID,
  ADD CONSTRAINT ck_document_chunks_vector
    CHECK (embedding IS NULL OR (vector_dim IS NOT NULL AND vector_dims(embedding) = vector_dim
      AND embed_model IS NOT NULL AND embed_version IS NOT NULL)) NOT VALID,
  ADD CONSTRAINT ck_document_chunks_not_zero
    CHECK (embedding IS NULL OR vector_norm(embedding) > 0) NOT VALID,
  ADD CONSTRAINT ck_document_chunks_pages
    CHECK (page_first IS NULL OR (page_first >= 1 AND page_last >= page_first)) NOT VALID;

-- V0003__events_and_fleet.sql
-- What happened to a job, who works, and what is ours alone.

CREATE TABLE IF NOT EXISTS upload_pipeline.events (
  event_id       uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  job_id         uuid        NOT NULL,
  document_id    uuid        NOT NULL,
  ts             timestamptz DEFAULT now(),
  type           text        NOT NULL,
  severity       text        NOT NULL,
  code           text        NOT NULL,
  payload        jsonb,
  correlation_id uuid
);

UPDATE upload_pipeline.events SET ts = now() WHERE ts IS NULL;

ALTER TABLE upload_pipeline.events
  DROP CONSTRAINT IF EXISTS events_type_check,
  DROP CONSTRAINT IF EXISTS events_severity_check,
  DROP CONSTRAINT IF EXISTS events_job_id_fkey,
  DROP CONSTRAINT IF EXISTS events_document_id_fkey,
  ALTER COLUMN ts SET NOT NULL,
  ADD COLUMN IF NOT EXISTS seq bigint GENERATED ALWAYS AS IDENTITY;

ALTER TABLE upload_pipeline.events
  ADD CONSTRAINT events_job_id_fkey
    FOREIGN KEY (job_id) REFERENCES upload_pipeline.upload_jobs (job_id) ON DELETE CASCADE NOT VALID,
  ADD CONSTRAINT events_document_id_fkey
    FOREIGN KEY (document_id) REFERENCES upload_pipeline.documents (document_id) ON DELETE CASCADE NOT VALID,
  ADD CONSTRAINT ck_events_type
    CHECK (type IN ('enqueued', 'stage_started', 'stage_done', 'retry', 'error', 'finalized', 'snoozed', 'taken_over',
      'handed_back', 'cancelled', 'redriven')) NOT VALID,
  ADD CONSTRAINT ck_events_severity CHECK (severity IN ('info', 'warn', 'error')) NOT VALID;

CREATE INDEX IF NOT EXISTS ix_events_job ON upload_pipeline.events (job_id, seq);
CREATE INDEX IF NOT EXISTS ix_events_document ON upload_pipeline.events (document_id);

CREATE TABLE IF NOT EXISTS upload_pipeline.webhook_log (
  webhook_id   text        PRIMARY KEY,
  job_id       uuid        NOT NULL,
  processed_at timestamptz DEFAULT now(),
  ip_address   inet,
  payload_hash text        NOT NULL
);

ALTER TABLE upload_pipeline.webhook_log DROP CONSTRAINT IF EXISTS webhook_log_job_id_fkey;
ALTER TABLE upload_pipeline.webhook_log
  ADD CONSTRAINT webhook_log_job_id_fkey
    FOREIGN KEY (job_id) REFERENCES upload_pipeline.upload_jobs (job_id) ON DELETE CASCADE NOT VALID;
CREATE INDEX IF NOT EXISTS ix_webhook_log_job ON upload_pipeline.webhook_log (job_id);

CREATE TABLE upload_pipeline.workers (
  id           uuid        PRIMARY KEY,
  host         text        NOT NULL,
  commit       text        NOT NULL,
  branch       text        NOT NULL,
  version      text        NOT NULL,
  environment  text        NOT NULL,
  started_at   timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now(),
  running_jobs int         NOT NULL DEFAULT 0,
  slots        int         NOT NULL
);

CREATE TABLE upload_pipeline.uploads (
  upload_id   uuid        PRIMARY KEY,
  user_id     uuid        NOT NULL,
  storage_key text        NOT NULL UNIQUE,
  document_id uuid,
  job_id      uuid,
  filename    text        NOT NULL,
  mime        text        NOT NULL,
  bytes_len   bigint,
  file_sha256 text,
  stored_at   timestamptz,
  expires_at  timestamptz NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_uploads_user_created ON upload_pipeline.uploads (user_id, created_at);
CREATE INDEX ix_uploads_expires ON upload_pipeline.uploads (expires_at);

CREATE TABLE upload_pipeline.api_keys (
  key_id       uuid        PRIMARY KEY,
  name         text        NOT NULL,
  key_sha256   text        NOT NULL UNIQUE,
  user_id      uuid,
  scopes       text        NOT NULL CHECK (scopes IN ('read', 'write', 'admin')),
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz,
  revoked_at   timestamptz,
  last_used_at timestamptz
);

CREATE TABLE upload_pipeline.idempotency_keys (
  user_id     uuid        NOT NULL,
  key         text        NOT NULL,
  route       text        NOT NULL,
  body_sha256 text        NOT NULL,
  status      int,
  response    jsonb,
  created_at  timestamptz NOT NULL DEFAULT now(),
  expires_at  timestamptz NOT NULL,
  PRIMARY KEY (user_id, route, key)
);
CREATE INDEX ix_idempotency_keys_expires ON upload_pipeline.idempotency_keys (expires_at);

CREATE TABLE upload_pipeline.storage_deletions (
  deletion_id  uuid        NOT NULL,
  user_id      uuid        NOT NULL,
  document_id  uuid        NOT NULL,
  storage_key  text        NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT now(),
  delete_at    timestamptz NOT NULL DEFAULT now(),
  passes_left  smallint    NOT NULL DEFAULT 2,
  deleted_at   timestamptz,
  PRIMARY KEY (deletion_id, storage_key)
);
CREATE INDEX ix_storage_deletions_due ON upload_pipeline.storage_deletions (delete_at) WHERE deleted_at IS NULL;
CREATE INDEX ix_storage_deletions_user ON upload_pipeline.storage_deletions (user_id, deletion_id);

CREATE TABLE upload_pipeline.housekeeping (
  task        text        PRIMARY KEY,
  next_run_at timestamptz NOT NULL DEFAULT now(),
  last_run_at timestamptz
);
INSERT INTO upload_pipeline.housekeeping (task) VALUES ('sweep');

CREATE TABLE upload_pipeline.environment_stamp (
  only_one    boolean     PRIMARY KEY DEFAULT true CHECK (only_one),
  environment text        NOT NULL CHECK (environment IN ('development', 'staging', 'production')),
  stamped_at  timestamptz NOT NULL DEFAULT now(),
  stamped_by  text        NOT NULL
);

-- V0004__row_security_and_notes.sql
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

COMMENT ON TABLE upload_pipeline.documents IS 'One row a content of a user.';
COMMENT ON COLUMN upload_pipeline.documents.document_id IS 'UUIDv5 of user_id:file_sha256.';
COMMENT ON COLUMN upload_pipeline.documents.user_id IS 'The owner.';
COMMENT ON COLUMN upload_pipeline.documents.filename IS 'As the client named it; never a path.';
COMMENT ON COLUMN upload_pipeline.documents.mime IS 'The declared media type.';
COMMENT ON COLUMN upload_pipeline.documents.bytes_len IS 'Size in bytes: declared, and verified by the worker.';
COMMENT ON COLUMN upload_pipeline.documents.file_sha256 IS 'SHA-256 of the bytes, 64 lower-case hex digits; verified by the worker.';
COMMENT ON COLUMN upload_pipeline.documents.parsed_sha256 IS 'SHA-256 of the normalised markdown; null until validated.';
COMMENT ON COLUMN upload_pipeline.documents.raw_path IS 'Key of the uploaded bytes in the object store.';
COMMENT ON COLUMN upload_pipeline.documents.parsed_path IS 'Key of the markdown in the object store; null until parsed.';
COMMENT ON COLUMN upload_pipeline.documents.processing_status IS 'The status of its latest job, written in the same statement.';
COMMENT ON COLUMN upload_pipeline.documents.created_at IS 'When the row was made.';
COMMENT ON COLUMN upload_pipeline.documents.updated_at IS 'When the row last changed.';
COMMENT ON COLUMN upload_pipeline.documents.kind IS 'What the file is by its content: pdf, docx, pptx, xlsx, html, markdown, plain_text; null until parsed.';
COMMENT ON COLUMN upload_pipeline.documents.parser IS 'What parsed it: local or llamaparse; null until parsed.';
COMMENT ON COLUMN upload_pipeline.documents.page_count IS 'Pages, slides or sheets; 0 where the format has none; null until parsed.';

COMMENT ON TABLE upload_pipeline.upload_jobs IS 'The queue, and its history: one row a job.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.job_id IS 'UUIDv7 when made by the API.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.document_id IS 'The document that the job is for.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.status IS 'The checkpoint: how far the document has come.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.state IS 'Who has the job: queued, working, retryable, done, deadletter, cancelled.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.priority IS 'Lower goes first; 0 is ordinary.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.progress IS 'Counts, as an object: pages, chunks, embedded.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.retry_count IS 'Tries that failed since the last checkpoint.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.last_error IS 'The last failure: code, message, class, status, checkpoint, at; and first, the first failure of the job.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.user_id IS 'Owner of the document; filled by trigger where the INSERT has none.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.claimed_by IS 'The worker process that holds the lease; null while nobody does.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.claimed_at IS 'When the lease was last taken.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.lease_expires_at IS 'From then on any worker may take the job over; null on a working job counts as expired.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.lease_epoch IS 'Plus one at each claim and cancel; with claimed_by, the fence of every write.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.step_started_at IS 'When the step in hand began; null while the claim has begun none, so that a takeover charges no try.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.crash_count IS 'Takeovers in the middle of a step; a repeat victim runs alone, then is given up.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.run_at IS 'Not to be claimed before.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.upload_expires_at IS 'Until then the bytes may still come; null where they must be there already.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.enqueued_by IS 'api, or another part of app; null: a foreign INSERT.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.correlation_id IS 'Follows the upload through every process and log line.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.cost_cents IS 'What providers charged for the job, in US cents; local parsers and models charge nothing.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.started_at IS 'When a worker first claimed it.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.finished_at IS 'When it reached a terminal state.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.created_at IS 'When the row was made.';
COMMENT ON COLUMN upload_pipeline.upload_jobs.updated_at IS 'When the row last changed; heartbeats do not count.';

COMMENT ON TABLE upload_pipeline.document_chunks IS 'The passages that search finds.';
COMMENT ON COLUMN upload_pipeline.document_chunks.chunk_id IS 'UUIDv5 of document_id:chunker_name:chunker_version:chunk_ord.';
COMMENT ON COLUMN upload_pipeline.document_chunks.document_id IS 'The document that it is part of.';
COMMENT ON COLUMN upload_pipeline.document_chunks.chunker_name IS 'What cut it.';
COMMENT ON COLUMN upload_pipeline.document_chunks.chunker_version IS 'Which version of that cut it.';
COMMENT ON COLUMN upload_pipeline.document_chunks.chunk_ord IS 'Its place in the document, from 0.';
COMMENT ON COLUMN upload_pipeline.document_chunks.text IS 'The passage, as markdown.';
COMMENT ON COLUMN upload_pipeline.document_chunks.chunk_sha IS 'SHA-256 of heading, a line feed and text, 64 lower-case hex digits.';
COMMENT ON COLUMN upload_pipeline.document_chunks.embed_model IS 'The model of the vector; null until embedded.';
COMMENT ON COLUMN upload_pipeline.document_chunks.embed_version IS 'The version of that model; null until embedded.';
COMMENT ON COLUMN upload_pipeline.document_chunks.vector_dim IS 'Components of the vector; null until embedded.';
COMMENT ON COLUMN upload_pipeline.document_chunks.embedding IS 'The vector, never of zeros; null until embedded.';
COMMENT ON COLUMN upload_pipeline.document_chunks.embed_updated_at IS 'When the vector was written; null until embedded.';
COMMENT ON COLUMN upload_pipeline.document_chunks.created_at IS 'When the row was made.';
COMMENT ON COLUMN upload_pipeline.document_chunks.updated_at IS 'When the row last changed.';
COMMENT ON COLUMN upload_pipeline.document_chunks.heading IS 'The headings above the passage, outermost first, joined by " > ".';
COMMENT ON COLUMN upload_pipeline.document_chunks.page_first IS 'First page it stands on, from 1; null where the format has no pages.';
COMMENT ON COLUMN upload_pipeline.document_chunks.page_last IS 'Last page it stands on.';
COMMENT ON COLUMN upload_pipeline.document_chunks.token_count IS 'Tokens of heading and text for the model, without its special tokens.';
COMMENT ON COLUMN upload_pipeline.document_chunks.tsv IS 'For full-text search: the words of heading and text; headings weigh no more, or they would drown the text.';

COMMENT ON TABLE upload_pipeline.events IS 'The timeline of jobs.';
COMMENT ON COLUMN upload_pipeline.events.event_id IS 'Its id.';
COMMENT ON COLUMN upload_pipeline.events.job_id IS 'The job it happened to.';
COMMENT ON COLUMN upload_pipeline.events.document_id IS 'The document of that job.';
COMMENT ON COLUMN upload_pipeline.events.ts IS 'When.';
COMMENT ON COLUMN upload_pipeline.events.type IS 'What kind of thing: stage_started, stage_done, retry, error, finalized and those that docs/architecture.md lists.';
COMMENT ON COLUMN upload_pipeline.events.severity IS 'info, warn or error.';
COMMENT ON COLUMN upload_pipeline.events.code IS 'The status reached, or the code of the failure.';
COMMENT ON COLUMN upload_pipeline.events.payload IS 'Counts, durations in milliseconds and messages; never document text.';
COMMENT ON COLUMN upload_pipeline.events.correlation_id IS 'The correlation id of the job.';
COMMENT ON COLUMN upload_pipeline.events.seq IS 'Ascending; the order of a job''s events, and the id of a server-sent event.';

COMMENT ON TABLE upload_pipeline.webhook_log IS 'Webhooks that were applied: protection against replay.';
COMMENT ON COLUMN upload_pipeline.webhook_log.webhook_id IS 'The sender''s id of the delivery, or a hash of it.';
COMMENT ON COLUMN upload_pipeline.webhook_log.job_id IS 'The job it was for.';
COMMENT ON COLUMN upload_pipeline.webhook_log.processed_at IS 'When it was applied.';
COMMENT ON COLUMN upload_pipeline.webhook_log.ip_address IS 'Who sent it.';
COMMENT ON COLUMN upload_pipeline.webhook_log.payload_hash IS 'SHA-256 of the body, 64 lower-case hex digits.';

COMMENT ON TABLE upload_pipeline.workers IS 'One row a live worker process.';
COMMENT ON COLUMN upload_pipeline.workers.id IS 'Made at process start; what claimed_by holds.';
COMMENT ON COLUMN upload_pipeline.workers.host IS 'Host name.';
COMMENT ON COLUMN upload_pipeline.workers.commit IS 'The commit that the process was built from.';
COMMENT ON COLUMN upload_pipeline.workers.branch IS 'The branch of that commit.';
COMMENT ON COLUMN upload_pipeline.workers.version IS 'The version of app.';
COMMENT ON COLUMN upload_pipeline.workers.environment IS 'development, staging or production.';
COMMENT ON COLUMN upload_pipeline.workers.started_at IS 'When the process started.';
COMMENT ON COLUMN upload_pipeline.workers.last_seen_at IS 'Its last heartbeat.';
COMMENT ON COLUMN upload_pipeline.workers.running_jobs IS 'Jobs in hand at that heartbeat.';
COMMENT ON COLUMN upload_pipeline.workers.slots IS 'Jobs it can run at once.';

COMMENT ON TABLE upload_pipeline.uploads IS 'Every object that was ever promised a place: written before its first byte.';
COMMENT ON COLUMN upload_pipeline.uploads.upload_id IS 'UUIDv7; the last part of the key.';
COMMENT ON COLUMN upload_pipeline.uploads.user_id IS 'Who uploads.';
COMMENT ON COLUMN upload_pipeline.uploads.storage_key IS 'raw/{user_id}/{upload_id}.';
COMMENT ON COLUMN upload_pipeline.uploads.document_id IS 'The document it became; null until known.';
COMMENT ON COLUMN upload_pipeline.uploads.job_id IS 'The job that waits for it; null until known.';
COMMENT ON COLUMN upload_pipeline.uploads.filename IS 'As the client named it.';
COMMENT ON COLUMN upload_pipeline.uploads.mime IS 'The declared media type.';
COMMENT ON COLUMN upload_pipeline.uploads.bytes_len IS 'Declared, then stored size in bytes; null while unknown.';
COMMENT ON COLUMN upload_pipeline.uploads.file_sha256 IS 'Declared, then computed SHA-256; null while unknown.';
COMMENT ON COLUMN upload_pipeline.uploads.stored_at IS 'When our own PUT stored the bytes; null where an S3 PUT did or none came.';
COMMENT ON COLUMN upload_pipeline.uploads.expires_at IS 'After that an object that no document refers to is removed.';
COMMENT ON COLUMN upload_pipeline.uploads.created_at IS 'When the upload was announced.';

COMMENT ON TABLE upload_pipeline.api_keys IS 'API keys, as hashes.';
COMMENT ON COLUMN upload_pipeline.api_keys.key_id IS 'Its id; not secret.';
COMMENT ON COLUMN upload_pipeline.api_keys.name IS 'What a person calls it.';
COMMENT ON COLUMN upload_pipeline.api_keys.key_sha256 IS 'SHA-256 of the whole key, 64 lower-case hex digits; the key has 256 random bits.';
COMMENT ON COLUMN upload_pipeline.api_keys.user_id IS 'The user it acts for; null: the caller names one in X-User-Id.';
COMMENT ON COLUMN upload_pipeline.api_keys.scopes IS 'read, write (and read), admin (all).';
COMMENT ON COLUMN upload_pipeline.api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN upload_pipeline.api_keys.expires_at IS 'Refused from then on; null: never.';
COMMENT ON COLUMN upload_pipeline.api_keys.revoked_at IS 'When it was revoked; null: valid.';
COMMENT ON COLUMN upload_pipeline.api_keys.last_used_at IS 'Last use, to the hour.';

COMMENT ON TABLE upload_pipeline.idempotency_keys IS 'Answers to repeat, kept 24 hours.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.user_id IS 'Whose request.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.key IS 'The Idempotency-Key header.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.route IS 'Method and route.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.body_sha256 IS 'SHA-256 of the body; another body with the same key is refused.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.status IS 'HTTP status of the answer; null while the first request runs.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.response IS 'Body of the answer.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.created_at IS 'When the first request came.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.expires_at IS 'Forgotten from then on.';

COMMENT ON TABLE upload_pipeline.storage_deletions IS 'Objects to delete, and the receipt.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.deletion_id IS 'The receipt; one for all objects of a document.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.user_id IS 'Who owned them.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.document_id IS 'The document that is gone.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.storage_key IS 'Key of the object.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.requested_at IS 'When the owner asked.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.delete_at IS 'When the next pass is due.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.passes_left IS 'Two passes, a lease apart: a step that was running may have written after the first.';
COMMENT ON COLUMN upload_pipeline.storage_deletions.deleted_at IS 'When the last pass was done; null: pending.';

COMMENT ON TABLE upload_pipeline.housekeeping IS 'Which chore is due; the worker that moves next_run_at does it.';
COMMENT ON COLUMN upload_pipeline.housekeeping.task IS 'The chore.';
COMMENT ON COLUMN upload_pipeline.housekeeping.next_run_at IS 'Due from then on.';
COMMENT ON COLUMN upload_pipeline.housekeeping.last_run_at IS 'When it was last begun.';

COMMENT ON TABLE upload_pipeline.environment_stamp IS 'The environment that this database belongs to; a process of another refuses to start.';
COMMENT ON COLUMN upload_pipeline.environment_stamp.only_one IS 'Always true: there is one row.';
COMMENT ON COLUMN upload_pipeline.environment_stamp.environment IS 'development, staging or production.';
COMMENT ON COLUMN upload_pipeline.environment_stamp.stamped_at IS 'When it was stamped.';
COMMENT ON COLUMN upload_pipeline.environment_stamp.stamped_by IS 'The version and commit of app that did.';

COMMENT ON COLUMN upload_pipeline.architecture_notes.architecture_type IS 'What the note is about.';
COMMENT ON COLUMN upload_pipeline.architecture_notes.description IS 'The decision.';
COMMENT ON COLUMN upload_pipeline.architecture_notes.documented_at IS 'When it was written.';

-- V0005__pick_jobs.sql
-- Which jobs a worker gets: fair across users within a priority, bounded per user, and at the price of the users that
-- have work, not of their rows. It hops along the index ix_upload_jobs_claim from user to user, starting behind the
-- user that this worker served last, and locks only what it picks. The caller's UPDATE takes what is picked here.
CREATE FUNCTION upload_pipeline.pick_jobs(
  p_slots        int,          -- jobs wanted
  p_max_per_user int,          -- running jobs a user may have; 0: no bound
  p_after        uuid,         -- the user served last; the turn goes on behind it
  p_statuses     text[],       -- what this build knows how to run
  p_max_crashes  int,          -- jobs that were taken over in a step this often run alone: not picked here
  p_now          timestamptz
) RETURNS SETOF uuid
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  v_priority smallint;
  v_user     uuid;
  v_users    uuid[];
  v_rooms    int[];
  v_room     int;
  v_left     int := p_slots;
  v_share    int;
  v_picked   uuid[] := '{}';
  v_new      uuid[];
  v_second   boolean;
BEGIN
  SELECT min(j.priority) INTO v_priority FROM upload_pipeline.upload_jobs AS j WHERE j.state IN ('queued', 'retryable');
  WHILE v_priority IS NOT NULL AND cardinality(v_picked) < p_slots LOOP
    v_left := p_slots - cardinality(v_picked);
    -- The ring of users that have work in this priority: those behind p_after, then the others.
    v_users := '{}';
    v_rooms := '{}';
    v_second := false;
    v_user := p_after;
    LOOP
      SELECT j.user_id INTO v_user
      FROM upload_pipeline.upload_jobs AS j
      WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority
        AND (v_user IS NULL OR j.user_id > v_user)
      ORDER BY j.user_id
      LIMIT 1;
      IF v_user IS NULL OR (v_second AND v_user > p_after) THEN
        EXIT WHEN v_second OR p_after IS NULL;
        v_second := true;
        v_user := NULL;
        CONTINUE;
      END IF;
      v_room := p_slots;
      IF p_max_per_user > 0 THEN
        SELECT least(p_slots, p_max_per_user - count(*)) INTO v_room
        FROM upload_pipeline.upload_jobs AS j
        WHERE j.state = 'working' AND j.user_id = v_user;
      END IF;
      IF v_room > 0 AND EXISTS (
        SELECT FROM upload_pipeline.upload_jobs AS j
        WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id = v_user AND j.run_at <= p_now
          AND j.status = ANY (p_statuses) AND j.crash_count < p_max_crashes
      ) THEN
        v_users := v_users || v_user;
        v_rooms := v_rooms || v_room;
        EXIT WHEN cardinality(v_users) >= v_left;
      END IF;
    END LOOP;

    -- An even share for each; in the second round, what some do not need goes to those that have more.
    FOR v_round IN 1 .. 2 LOOP
      FOR i IN 1 .. cardinality(v_users) LOOP
        v_left := p_slots - cardinality(v_picked);
        EXIT WHEN v_left <= 0;
        v_share := CASE v_round WHEN 1 THEN ceil(v_left::numeric / (cardinality(v_users) - i + 1))::int ELSE v_left END;
        SELECT coalesce(array_agg(mine.job_id), '{}') INTO v_new
        FROM (
          SELECT j.job_id
          FROM upload_pipeline.upload_jobs AS j
          WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id = v_users[i]
            AND j.run_at <= p_now AND j.status = ANY (p_statuses) AND j.crash_count < p_max_crashes
            AND (v_round = 1 OR j.job_id <> ALL (v_picked))
          ORDER BY j.run_at, j.job_id
          LIMIT least(v_rooms[i], v_share)
          FOR UPDATE SKIP LOCKED
        ) AS mine;
        v_picked := v_picked || v_new;
        v_rooms[i] := v_rooms[i] - cardinality(v_new);
      END LOOP;
    END LOOP;

    SELECT min(j.priority) INTO v_priority
    FROM upload_pipeline.upload_jobs AS j
    WHERE j.state IN ('queued', 'retryable') AND j.priority > v_priority;
  END LOOP;
  RETURN QUERY SELECT unnest(v_picked);
END
$$;

COMMENT ON FUNCTION upload_pipeline.pick_jobs IS 'Picks and locks claimable jobs, fair across users; the claim takes them.';

-- Repeat victims of crashes, which run alone; almost always empty.
CREATE INDEX ix_upload_jobs_suspect ON upload_pipeline.upload_jobs (run_at) WHERE crash_count > 1 AND state IN ('queued', 'retryable');

-- V0006__claim_jobs.sql
-- The claim as one call, at the price of a flush less and a lookup less a job, and events that cost what they say.
-- `pick_jobs` stays while builds that call it may still run; nothing of this build does.

-- Which jobs a worker gets, taken at once: fair across users within a priority, bounded per user, and at the price of
-- the users that have work, not of their rows. It hops along ix_upload_jobs_claim from user to user, starting behind
-- the user that this worker served last, locks only what it picks, and writes owner, lease and epoch. Sequential scans
-- are off, since the table is mostly history and one such plan, kept by the session, would read it at every claim.
-- Where it takes nothing though jobs wait, it returns one row without a job, so that only then the caller asks for when.
-- The commit is asynchronous: a claim that a crash of the server loses is only made again, and until then the fence
-- (claimed_by with lease_epoch) shuts out whoever believes in it. The next synchronous commit carries it to disk.
CREATE FUNCTION upload_pipeline.claim_jobs(
  p_worker       uuid,             -- who claims
  p_slots        int,              -- jobs wanted
  p_max_per_user int,              -- running jobs a user may have; 0: no bound
  p_after        uuid,             -- the user served last; the turn goes on behind it
  p_statuses     text[],           -- what this build knows how to run
  p_steps        text[],           -- the step that each of these begins; null: no event is written of it
  p_max_crashes  int,              -- jobs that were taken over in a step this often run alone: not taken here
  p_lease        double precision, -- seconds
  p_now          timestamptz
) RETURNS TABLE (
  job_id uuid, document_id uuid, user_id uuid, lease_epoch bigint, status text, retry_count int, progress jsonb,
  upload_expires_at timestamptz, enqueued_by text, correlation_id uuid, served_last uuid)
LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  v_priority smallint;
  v_user     uuid;
  v_users    uuid[];
  v_rooms    int[];
  v_room     int;
  v_left     int;
  v_share    int;
  v_picked   tid[] := '{}';
  v_new      tid[];
  v_second   boolean;
  v_waiting  boolean;
  v_last     uuid := p_after;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT min(j.priority) INTO v_priority FROM upload_pipeline.upload_jobs AS j WHERE j.state IN ('queued', 'retryable');
  v_waiting := v_priority IS NOT NULL;
  WHILE v_priority IS NOT NULL AND cardinality(v_picked) < p_slots LOOP
    v_left := p_slots - cardinality(v_picked);
    -- The ring of users that have work in this priority: those behind p_after, then the others.
    v_users := '{}';
    v_rooms := '{}';
    v_second := false;
    v_user := p_after;
    LOOP
      -- Two statements, so that a plan for any user can begin behind him in the index and not read past his rows.
      IF v_user IS NULL THEN
        SELECT j.user_id INTO v_user
        FROM upload_pipeline.upload_jobs AS j
        WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority
        ORDER BY j.user_id
        LIMIT 1;
      ELSE
        SELECT j.user_id INTO v_user
        FROM upload_pipeline.upload_jobs AS j
        WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id > v_user
        ORDER BY j.user_id
        LIMIT 1;
      END IF;
      IF v_user IS NULL OR (v_second AND v_user > p_after) THEN
        EXIT WHEN v_second OR p_after IS NULL;
        v_second := true;
        v_user := NULL;
        CONTINUE;
      END IF;
      v_room := p_slots;
      IF p_max_per_user > 0 THEN
        SELECT least(p_slots, p_max_per_user - count(*)) INTO v_room
        FROM upload_pipeline.upload_jobs AS j
        WHERE j.state = 'working' AND j.user_id = v_user;
      END IF;
      IF v_room > 0 AND EXISTS (
        SELECT FROM upload_pipeline.upload_jobs AS j
        WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id = v_user AND j.run_at <= p_now
          AND j.status = ANY (p_statuses) AND j.crash_count < p_max_crashes
      ) THEN
        v_users := v_users || v_user;
        v_rooms := v_rooms || v_room;
        EXIT WHEN cardinality(v_users) >= v_left;
      END IF;
    END LOOP;

    -- An even share for each; in the second round, what some do not need goes to those that have more.
    FOR v_round IN 1 .. 2 LOOP
      FOR i IN 1 .. cardinality(v_users) LOOP
        v_left := p_slots - cardinality(v_picked);
        EXIT WHEN v_left <= 0;
        v_share := CASE v_round WHEN 1 THEN ceil(v_left::numeric / (cardinality(v_users) - i + 1))::int ELSE v_left END;
        CONTINUE WHEN v_rooms[i] <= 0;
        SELECT coalesce(array_agg(mine.at), '{}') INTO v_new
        FROM (
          SELECT j.ctid AS at
          FROM upload_pipeline.upload_jobs AS j
          WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id = v_users[i]
            AND j.run_at <= p_now AND j.status = ANY (p_statuses) AND j.crash_count < p_max_crashes
            AND (v_round = 1 OR j.ctid <> ALL (v_picked))
          ORDER BY j.run_at, j.job_id
          LIMIT least(v_rooms[i], v_share)
          FOR UPDATE SKIP LOCKED
        ) AS mine;
        IF cardinality(v_new) > 0 THEN
          v_picked := v_picked || v_new;
          v_rooms[i] := v_rooms[i] - cardinality(v_new);
          v_last := v_users[i];
        END IF;
      END LOOP;
    END LOOP;

    SELECT min(j.priority) INTO v_priority
    FROM upload_pipeline.upload_jobs AS j
    WHERE j.state IN ('queued', 'retryable') AND j.priority > v_priority;
  END LOOP;

  IF cardinality(v_picked) = 0 THEN
    IF v_waiting THEN
      served_last := p_after;
      RETURN NEXT;
    END IF;
    RETURN;
  END IF;
  -- The rows are locked, so where they are is where they stay until this transaction ends.
  RETURN QUERY
  WITH taken AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET state = 'working', claimed_by = p_worker, claimed_at = p_now, lease_expires_at = p_now + p_lease * interval '1 second',
      lease_epoch = j.lease_epoch + 1, step_started_at = p_now, started_at = coalesce(j.started_at, p_now), updated_at = p_now
  WHERE j.ctid = ANY (v_picked)
  RETURNING j.job_id, j.document_id, j.user_id, j.lease_epoch, j.status, j.retry_count, j.progress, j.upload_expires_at,
    j.enqueued_by, j.correlation_id
  ),
  started AS (
    INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, correlation_id)
    SELECT t.job_id, t.document_id, 'stage_started', 'info', p_steps[array_position(p_statuses, t.status)], t.correlation_id
    FROM taken AS t
    WHERE p_steps IS NOT NULL
  )
  SELECT t.*, v_last FROM taken AS t;
END
$$;

-- New jobs, however many at once. A function, because an unnamed statement is planned anew each time that it is sent, which
-- costs more than inserting a row; the plans of a function are kept by the session, also behind a pooler.
CREATE FUNCTION upload_pipeline.enqueue_jobs(
  p_jobs           uuid[],
  p_documents      uuid[],
  p_users          uuid[],
  p_statuses       text[],             -- the checkpoints to begin at
  p_progress       jsonb[],
  p_delays         double precision[], -- seconds before a worker first looks
  p_upload_expires timestamptz[],      -- until when the bytes may still come; null: they are there
  p_correlations   uuid[],
  p_events         jsonb[]             -- what the first event tells; null: there is none
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  INSERT INTO upload_pipeline.upload_jobs
    (job_id, document_id, user_id, status, state, progress, run_at, upload_expires_at, enqueued_by, correlation_id)
  SELECT n.job_id, n.document_id, n.user_id, n.status, 'queued', n.progress, now() + n.delay * interval '1 second',
    n.upload_expires_at, 'api', n.correlation_id
  FROM unnest(p_jobs, p_documents, p_users, p_statuses, p_progress, p_delays, p_upload_expires, p_correlations)
    AS n (job_id, document_id, user_id, status, progress, delay, upload_expires_at, correlation_id);
  IF cardinality(array_remove(p_events, NULL)) > 0 THEN
    INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
    SELECT n.job_id, n.document_id, 'enqueued', 'info', n.status, n.event, n.correlation_id
    FROM unnest(p_jobs, p_documents, p_statuses, p_events, p_correlations)
      AS n (job_id, document_id, status, event, correlation_id)
    WHERE n.event IS NOT NULL;
  END IF;
END
$$;

COMMENT ON FUNCTION upload_pipeline.enqueue_jobs IS 'Adds jobs with their first events; does not wake the workers.';
COMMENT ON FUNCTION upload_pipeline.claim_jobs IS 'Takes claimable jobs for a worker, fair across users; commits asynchronously.';

-- An event is written at every transition of every job: two foreign keys and an index for one of them were most of its
-- price. Its rows go with their job by one statement for however many jobs are deleted, by whomever.
ALTER TABLE upload_pipeline.events
  DROP CONSTRAINT IF EXISTS events_job_id_fkey,
  DROP CONSTRAINT IF EXISTS events_document_id_fkey;
DROP INDEX upload_pipeline.ix_events_document;

CREATE FUNCTION upload_pipeline.delete_events_of_jobs() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  DELETE FROM upload_pipeline.events AS e USING gone AS g WHERE e.job_id = g.job_id;
  RETURN NULL;
END
$$;
CREATE TRIGGER tr_upload_jobs_delete_events AFTER DELETE ON upload_pipeline.upload_jobs
  REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION upload_pipeline.delete_events_of_jobs();

-- V0007__retention.sql
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

-- V0008__deploy_identity.sql
-- Which build each worker is, to the minute and the migration, and every move of the stamp.

-- Nullable: builds that do not know these columns write rows, too.
ALTER TABLE upload_pipeline.workers
  ADD COLUMN IF NOT EXISTS built_at       timestamptz,
  ADD COLUMN IF NOT EXISTS schema_version int;

CREATE TABLE IF NOT EXISTS upload_pipeline.environment_moves (
  move_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  moved_at   timestamptz NOT NULL DEFAULT now(),
  moved_from text        NOT NULL,
  moved_to   text        NOT NULL CHECK (moved_to <> moved_from),
  moved_by   text        NOT NULL
);
ALTER TABLE upload_pipeline.environment_moves ENABLE ROW LEVEL SECURITY;

COMMENT ON COLUMN upload_pipeline.workers.built_at IS 'When its program was built; null where that build did not say.';
COMMENT ON COLUMN upload_pipeline.workers.schema_version IS 'The newest migration that its build knows; null where that build did not say.';
COMMENT ON TABLE upload_pipeline.environment_moves IS 'Every time that the stamp of this database was moved on purpose, by app migrate --move-stamp.';
COMMENT ON COLUMN upload_pipeline.environment_moves.move_id IS 'Ascending.';
COMMENT ON COLUMN upload_pipeline.environment_moves.moved_at IS 'When.';
COMMENT ON COLUMN upload_pipeline.environment_moves.moved_from IS 'The environment that the database had belonged to.';
COMMENT ON COLUMN upload_pipeline.environment_moves.moved_to IS 'The environment that it belongs to from then on.';
COMMENT ON COLUMN upload_pipeline.environment_moves.moved_by IS 'The build of app that did it, and the role that it was logged in as.';

-- V0009__remote_parse.sql
-- Remote parsing: what was asked of a provider that charges, and that it has called back.

-- Written before a call that costs money: what a crash leaves `intended` is what may have been bought unheard.
CREATE TABLE IF NOT EXISTS upload_pipeline.provider_calls (
  call_id      uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  job_id       uuid        NOT NULL REFERENCES upload_pipeline.upload_jobs (job_id) ON DELETE CASCADE,
  provider     text        NOT NULL,
  kind         text        NOT NULL,
  state        text        NOT NULL DEFAULT 'intended',
  provider_job text,
  lease_epoch  bigint      NOT NULL,
  intended_at  timestamptz NOT NULL DEFAULT now(),
  accepted_at  timestamptz,
  ended_at     timestamptz,
  CONSTRAINT ck_provider_calls_state
    CHECK (state IN ('intended', 'accepted', 'collected', 'refused', 'failed', 'gone', 'uncertain', 'abandoned')),
  CONSTRAINT ck_provider_calls_accepted CHECK (state <> 'accepted' OR (provider_job IS NOT NULL AND accepted_at IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS ix_provider_calls_job ON upload_pipeline.provider_calls (job_id);
-- A job waits for one answer at a time.
CREATE UNIQUE INDEX IF NOT EXISTS uq_provider_calls_open ON upload_pipeline.provider_calls (job_id) WHERE state IN ('intended', 'accepted');
ALTER TABLE upload_pipeline.provider_calls ENABLE ROW LEVEL SECURITY;

-- No index has it, so that to set it is a heap-only update.
ALTER TABLE upload_pipeline.upload_jobs ADD COLUMN IF NOT EXISTS signalled_at timestamptz;

COMMENT ON COLUMN upload_pipeline.upload_jobs.signalled_at IS 'When a provider last called back while a worker had the job; later than claimed_at, it means that a snooze would oversleep.';
COMMENT ON TABLE upload_pipeline.provider_calls IS 'What was asked of a provider that charges for it: one row a call, written before it.';
COMMENT ON COLUMN upload_pipeline.provider_calls.call_id IS 'Its id.';
COMMENT ON COLUMN upload_pipeline.provider_calls.job_id IS 'The job that it is for.';
COMMENT ON COLUMN upload_pipeline.provider_calls.provider IS 'Who is asked: llamaparse.';
COMMENT ON COLUMN upload_pipeline.provider_calls.kind IS 'What the file is by its content, as in documents.kind.';
COMMENT ON COLUMN upload_pipeline.provider_calls.state IS 'intended: about to be asked; accepted: the provider has the document; collected: its answer is stored; refused: it took nothing; failed: it could not read the document; gone: it has forgotten the job; uncertain: nobody heard whether it took it; abandoned: asked anew on purpose.';
COMMENT ON COLUMN upload_pipeline.provider_calls.provider_job IS 'The provider''s id of the job; null until it has accepted.';
COMMENT ON COLUMN upload_pipeline.provider_calls.lease_epoch IS 'The claim of our job under which it was asked.';
COMMENT ON COLUMN upload_pipeline.provider_calls.intended_at IS 'When it was about to be asked.';
COMMENT ON COLUMN upload_pipeline.provider_calls.accepted_at IS 'When it accepted; null until then.';
COMMENT ON COLUMN upload_pipeline.provider_calls.ended_at IS 'When the call reached its last state; null until then.';

-- V0010__idempotency.sql
-- What a reservation of an idempotency key needs beside its answer: whose it is, until when, and where the answer leads.

ALTER TABLE upload_pipeline.idempotency_keys
  ADD COLUMN IF NOT EXISTS attempt      uuid,
  ADD COLUMN IF NOT EXISTS locked_until timestamptz,
  ADD COLUMN IF NOT EXISTS location     text;

COMMENT ON COLUMN upload_pipeline.idempotency_keys.body_sha256 IS 'Fingerprint of the request: SHA-256 of its path, query and body, of a form the parts'' names, types and bytes; another one with the same key is refused. Empty while a form is being read.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.response IS 'Body of the answer, without the signed URL, which is a secret and is made anew.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.attempt IS 'The try that holds the key, new at each; only it may write the answer.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.locked_until IS 'While there is no answer: a repeat is refused until then, and does the work after it, since whoever held the key is gone. Renewed while the work goes on.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.location IS 'The header Location of the answer.';

-- V0011__checkpoints.sql
-- A job's way as calls: an unnamed statement is planned anew each time that it is sent, which cost more than all that these
-- write. The plans of a function are kept by the session, also behind a pooler: generic ones, by name, because the server would
-- plan for each array anew that is shorter than it guesses. Sequential scans are off, since a plan made while a table is empty
-- is kept as well.

-- The next checkpoint, and the step after it begins. It goes forward only: a statement that was held up on its way, and whose
-- run the worker has given up, does not take a later one back. Whether it was written; false: the lease is lost.
CREATE FUNCTION upload_pipeline.advance_job(
  p_job      uuid,
  p_worker   uuid,
  p_epoch    bigint,  -- with the worker, the fence
  p_from     text[],  -- the statuses that the step began at
  p_to       text,    -- the checkpoint
  p_progress jsonb,   -- merged into the job's counts
  p_done     jsonb,   -- what the event tells of the step; null: no event is written
  p_next     text     -- the step that begins
) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_document    uuid;
  v_correlation uuid;
BEGIN
  UPDATE upload_pipeline.upload_jobs AS j
  SET status = p_to, progress = j.progress || p_progress, retry_count = 0, crash_count = 0, step_started_at = now(), updated_at = now()
  WHERE j.job_id = p_job AND j.claimed_by = p_worker AND j.lease_epoch = p_epoch AND j.state || '' = 'working'
    AND j.status = ANY (p_from)
  RETURNING j.document_id, j.correlation_id INTO v_document, v_correlation;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  UPDATE upload_pipeline.documents AS d
  SET processing_status = p_to, updated_at = now()
  WHERE d.document_id = v_document;
  IF p_done IS NOT NULL THEN
    INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
    SELECT p_job, v_document, what.type, 'info', what.code, what.payload, v_correlation
    FROM (VALUES ('stage_done', p_to, p_done), ('stage_started', p_next, NULL)) AS what (type, code, payload)
    WHERE what.code IS NOT NULL;
  END IF;
  RETURN true;
END
$$;
COMMENT ON FUNCTION upload_pipeline.advance_job IS 'Writes the next checkpoint of a job in hand; false: the lease is lost.';

-- Ends those jobs of a worker whose documents have a vector of the active model for every chunk. A row for each that ended,
-- and one for each document with what was counted.
CREATE FUNCTION upload_pipeline.complete_jobs(
  p_worker    uuid,
  p_jobs      uuid[],
  p_epochs    bigint[],  -- with the worker, the fences
  p_took      bigint[],  -- milliseconds of the last steps
  p_documents uuid[],    -- the job's, each
  p_model     text,
  p_version   text,
  p_dim       int,
  p_timeline  boolean    -- whether events are written
) RETURNS TABLE (job_id uuid, document_id uuid, chunks bigint, embedded bigint)
LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  -- One look for each job: any other way to put the two together could be kept as a scan of all chunks.
  WITH counted AS MATERIALIZED (
    SELECT e.job_id, e.lease_epoch, e.took, e.document_id, n.chunks, n.embedded
    FROM unnest(p_jobs, p_epochs, p_took, p_documents) AS e (job_id, lease_epoch, took, document_id)
    CROSS JOIN LATERAL (
      SELECT count(*) AS chunks,
        count(*) FILTER (WHERE c.embedding IS NOT NULL AND c.embed_model = p_model AND c.embed_version = p_version
          AND c.vector_dim = p_dim) AS embedded
      FROM upload_pipeline.document_chunks AS c
      WHERE c.document_id = e.document_id
    ) AS n
  ),
  -- Jobs are to be found by their ids, not by documents, which may have had many: nothing else here fits an index.
  ended AS MATERIALIZED (
    SELECT n.job_id, n.lease_epoch, n.took, n.document_id, n.chunks, n.embedded
    FROM counted AS n
    WHERE n.chunks > 0 AND n.embedded = n.chunks
  ),
  job AS (
    UPDATE upload_pipeline.upload_jobs AS j
    SET status = 'complete', state = 'done', retry_count = 0, claimed_by = NULL, lease_expires_at = NULL,
        step_started_at = NULL, finished_at = now(), updated_at = now(),
        progress = j.progress || jsonb_build_object('chunks', e.chunks, 'embedded', e.embedded)
    FROM ended AS e
    WHERE j.job_id = e.job_id AND j.claimed_by = p_worker AND j.lease_epoch = e.lease_epoch
      AND j.state || '' = 'working' AND (j.document_id = e.document_id) IS TRUE
    RETURNING j.job_id, j.document_id, j.correlation_id, e.took
  ),
  document AS (
    UPDATE upload_pipeline.documents AS d
    SET processing_status = 'complete', updated_at = now()
    FROM (SELECT DISTINCT job.document_id FROM job) AS of_job
    WHERE d.document_id = of_job.document_id AND d.processing_status IS DISTINCT FROM 'complete'
  ),
  event AS (
    INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
    SELECT job.job_id, job.document_id, 'finalized', 'info', 'complete', jsonb_build_object('duration_ms', job.took),
      job.correlation_id
    FROM job
    WHERE p_timeline
  )
  SELECT job.job_id, NULL::uuid, 0::bigint, 0::bigint
  FROM job
  UNION ALL
  SELECT DISTINCT NULL::uuid, n.document_id, n.chunks, n.embedded
  FROM counted AS n;
END
$$;
COMMENT ON FUNCTION upload_pipeline.complete_jobs IS 'Ends the jobs of a worker whose documents are embedded whole; a row for each job ended, one for each document counted.';

-- The claim, with a memory. While a snapshot is held open somewhere (a backup, a forgotten session), no index entry of a job
-- that was claimed can go, and each claim read those of all the claims before it: its price grew with what was done since. A
-- worker now says from where on to look, for each user that it has just served; it forgets that every second, and looks
-- everywhere whenever that finds less than it has room for. What was committed late, below, waits for that look and no longer.
CREATE FUNCTION upload_pipeline.claim_jobs_from(
  p_worker       uuid,             -- who claims
  p_slots        int,              -- jobs wanted
  p_max_per_user int,              -- running jobs a user may have; 0: no bound
  p_after        uuid,             -- the user served last; the turn goes on behind it
  p_statuses     text[],           -- what this build knows how to run
  p_steps        text[],           -- the step that each of these begins; null: no event is written of it
  p_max_crashes  int,              -- jobs that were taken over in a step this often run alone: not taken here
  p_lease        double precision, -- seconds
  p_now          timestamptz,
  p_priority     smallint,         -- the priority of the floors; null: there are none
  p_floor_users  uuid[],           -- users, ascending, of whom earlier claims took what was due first,
  p_floors       timestamptz[]     -- and up to when: what was due before is not looked at
) RETURNS TABLE (
  job_id uuid, document_id uuid, user_id uuid, lease_epoch bigint, status text, retry_count int, progress jsonb,
  upload_expires_at timestamptz, enqueued_by text, correlation_id uuid, priority smallint, run_at timestamptz, served_last uuid)
LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  c_first    CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
  c_last     CONSTANT uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  v_priority smallint;
  v_user     uuid;
  v_next     uuid;
  v_at       int;
  v_floor    timestamptz;
  v_users    uuid[];
  v_lows     timestamptz[];
  v_rooms    int[];
  v_room     int;
  v_left     int;
  v_share    int;
  v_picked   tid[] := '{}';
  v_new      tid[];
  v_second   boolean;
  v_waiting  boolean;
  v_last     uuid := p_after;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  -- A least value can be read from the claim's index only; whether one EXISTS, a kept plan would look for in any.
  SELECT min(j.priority) INTO v_priority
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.state IN ('queued', 'retryable') AND j.priority < p_priority;
  IF p_priority IS NOT NULL AND v_priority IS NULL THEN
    v_priority := p_priority;
  ELSE
    p_floor_users := '{}';
    SELECT min(j.priority) INTO v_priority FROM upload_pipeline.upload_jobs AS j WHERE j.state IN ('queued', 'retryable');
  END IF;
  v_waiting := v_priority IS NOT NULL;
  WHILE v_priority IS NOT NULL AND cardinality(v_picked) < p_slots LOOP
    v_left := p_slots - cardinality(v_picked);
    -- The ring of users that have work in this priority: those behind p_after, then the others.
    v_users := '{}';
    v_rooms := '{}';
    v_lows := '{}';
    v_second := false;
    v_user := p_after;
    LOOP
      -- The next user who has work; of one with a floor only what is above it says so. A plan for any user must begin behind
      -- him in the index and not read past his rows, hence two bounds that are always there and no OR.
      v_next := p_floor_users[coalesce(width_bucket(v_user, p_floor_users), 0) + 1];
      SELECT j.user_id INTO v_user
      FROM upload_pipeline.upload_jobs AS j
      WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority
        AND (j.user_id, j.run_at) > (coalesce(v_user, c_first), CASE WHEN v_user IS NULL THEN '-infinity' ELSE 'infinity' END::timestamptz)
        AND (j.user_id, j.run_at) < (coalesce(v_next, c_last), CASE WHEN v_next IS NULL THEN 'infinity' ELSE '-infinity' END::timestamptz)
      ORDER BY j.user_id, j.run_at
      LIMIT 1;
      v_user := coalesce(v_user, v_next);
      IF v_user IS NULL OR (v_second AND v_user > p_after) THEN
        EXIT WHEN v_second OR p_after IS NULL;
        v_second := true;
        v_user := NULL;
        CONTINUE;
      END IF;
      v_at := width_bucket(v_user, p_floor_users);
      v_floor := CASE WHEN p_floor_users[v_at] = v_user THEN p_floors[v_at] ELSE '-infinity' END;
      v_room := p_slots;
      IF p_max_per_user > 0 THEN
        SELECT least(p_slots, p_max_per_user - count(*)) INTO v_room
        FROM upload_pipeline.upload_jobs AS j
        WHERE j.state = 'working' AND j.user_id = v_user;
      END IF;
      IF v_room > 0 AND EXISTS (
        SELECT FROM upload_pipeline.upload_jobs AS j
        WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id = v_user
          AND j.run_at BETWEEN v_floor AND p_now AND j.status = ANY (p_statuses) AND j.crash_count < p_max_crashes
      ) THEN
        v_users := v_users || v_user;
        v_rooms := v_rooms || v_room;
        v_lows := v_lows || v_floor;
        EXIT WHEN cardinality(v_users) >= v_left;
      END IF;
    END LOOP;

    -- An even share for each; in the second round, what some do not need goes to those that have more.
    FOR v_round IN 1 .. 2 LOOP
      FOR i IN 1 .. cardinality(v_users) LOOP
        v_left := p_slots - cardinality(v_picked);
        EXIT WHEN v_left <= 0;
        v_share := CASE v_round WHEN 1 THEN ceil(v_left::numeric / (cardinality(v_users) - i + 1))::int ELSE v_left END;
        CONTINUE WHEN v_rooms[i] <= 0;
        SELECT coalesce(array_agg(mine.at), '{}') INTO v_new
        FROM (
          SELECT j.ctid AS at
          FROM upload_pipeline.upload_jobs AS j
          WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id = v_users[i]
            AND j.run_at BETWEEN v_lows[i] AND p_now AND j.status = ANY (p_statuses) AND j.crash_count < p_max_crashes
            AND (v_round = 1 OR j.ctid <> ALL (v_picked))
          ORDER BY j.run_at, j.job_id
          LIMIT least(v_rooms[i], v_share)
          FOR UPDATE SKIP LOCKED
        ) AS mine;
        IF cardinality(v_new) > 0 THEN
          v_picked := v_picked || v_new;
          v_rooms[i] := v_rooms[i] - cardinality(v_new);
          v_last := v_users[i];
        END IF;
      END LOOP;
    END LOOP;

    p_floor_users := '{}';
    SELECT min(j.priority) INTO v_priority
    FROM upload_pipeline.upload_jobs AS j
    WHERE j.state IN ('queued', 'retryable') AND j.priority > v_priority;
  END LOOP;

  IF cardinality(v_picked) = 0 THEN
    IF v_waiting THEN
      served_last := p_after;
      RETURN NEXT;
    END IF;
    RETURN;
  END IF;
  -- The rows are locked, so where they are is where they stay until this transaction ends.
  RETURN QUERY
  WITH taken AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET state = 'working', claimed_by = p_worker, claimed_at = p_now, lease_expires_at = p_now + p_lease * interval '1 second',
      lease_epoch = j.lease_epoch + 1, step_started_at = p_now, started_at = coalesce(j.started_at, p_now), updated_at = p_now
  WHERE j.ctid = ANY (v_picked)
  RETURNING j.job_id, j.document_id, j.user_id, j.lease_epoch, j.status, j.retry_count, j.progress, j.upload_expires_at,
    j.enqueued_by, j.correlation_id, j.priority, j.run_at
  ),
  started AS (
    INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, correlation_id)
    SELECT t.job_id, t.document_id, 'stage_started', 'info', p_steps[array_position(p_statuses, t.status)], t.correlation_id
    FROM taken AS t
    WHERE p_steps IS NOT NULL
  )
  SELECT t.*, v_last FROM taken AS t;
END
$$;
COMMENT ON FUNCTION upload_pipeline.claim_jobs_from IS 'Takes claimable jobs for a worker, fair across users, from where it left off; commits asynchronously.';

-- What app migrate itself wrote.
CREATE TABLE upload_pipeline.schema_history (
  version int PRIMARY KEY, name varchar(255), applied_on varchar(255), checksum varchar(255));
ALTER TABLE upload_pipeline.schema_history ENABLE ROW LEVEL SECURITY;
INSERT INTO upload_pipeline.schema_history (version, name, applied_on, checksum) VALUES
  (1, 'documents_and_jobs', '2026-11-29T08:00:00Z', '1359095605067212552'),
  (2, 'chunks', '2026-11-29T08:00:00Z', '15614957755958943348'),
  (3, 'events_and_fleet', '2026-11-29T08:00:00Z', '9824104353679492712'),
  (4, 'row_security_and_notes', '2026-11-29T08:00:00Z', '17902012297346557374'),
  (5, 'pick_jobs', '2026-11-29T08:00:00Z', '4313151094486119914'),
  (6, 'claim_jobs', '2026-11-29T08:00:00Z', '9465493271549096517'),
  (7, 'retention', '2026-11-29T08:00:00Z', '14579110065605863141'),
  (8, 'deploy_identity', '2026-11-29T08:00:00Z', '11239296684886072468'),
  (9, 'remote_parse', '2026-11-29T08:00:00Z', '7181829535272738577'),
  (10, 'idempotency', '2026-11-29T08:00:00Z', '1686500075588204527'),
  (11, 'checkpoints', '2026-11-29T08:00:00Z', '10048019289948582569');
INSERT INTO upload_pipeline.environment_stamp (environment, stamped_by) VALUES ('development', 'the build before');

-- One job in every state, and a row in every table.
INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, '00000000-0000-0000-0000-0000000000aa', 'doc' || n || '.md',
  'text/markdown', n, repeat(n::text, 64), 'raw/' || n
FROM generate_series(1, 7) AS n;
INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, claimed_by, lease_epoch, lease_expires_at, last_error)
VALUES
  ('10000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000001', 'complete', 'done', NULL, 1, NULL, NULL),
  ('10000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000002', 'uploaded', 'queued', NULL, 0, NULL, NULL),
  ('10000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000003', 'chunks_stored', 'retryable', NULL, 2, NULL, '{"code": "worker_died"}'),
  ('10000000-0000-0000-0000-000000000004', '00000000-0000-0000-0000-000000000004', 'parsed', 'working', gen_random_uuid(), 5, now() + interval '1 hour', NULL),
  ('10000000-0000-0000-0000-000000000005', '00000000-0000-0000-0000-000000000005', 'failed_parse', 'deadletter', NULL, 4, NULL, '{"code": "text_empty", "checkpoint": "parsed"}'),
  ('10000000-0000-0000-0000-000000000006', '00000000-0000-0000-0000-000000000006', 'uploaded', 'cancelled', NULL, 1, NULL, NULL),
  ('10000000-0000-0000-0000-000000000007', '00000000-0000-0000-0000-000000000007', 'duplicate', 'done', NULL, 1, NULL, NULL);
-- As their jobs' statements wrote it: a duplicate's document is complete, and one was completed by an older job than its latest.
UPDATE upload_pipeline.documents AS d
SET processing_status = CASE WHEN j.status = 'duplicate' OR j.state = 'cancelled' THEN 'complete' ELSE j.status END
FROM upload_pipeline.upload_jobs AS j
WHERE j.document_id = d.document_id;
INSERT INTO upload_pipeline.document_chunks (chunk_id, document_id, chunker_name, chunker_version, chunk_ord, text, chunk_sha,
  embed_model, embed_version, vector_dim, embedding)
SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'markdown', '1', n, 'text ' || n, 'x', 'm', '1', 2, '[1,0]'
FROM generate_series(0, 9) AS n;
INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code)
SELECT j.job_id, j.document_id, 'enqueued', 'info', j.status FROM upload_pipeline.upload_jobs AS j;
INSERT INTO upload_pipeline.webhook_log (webhook_id, job_id, payload_hash)
VALUES ('w1', '10000000-0000-0000-0000-000000000001', 'x');
INSERT INTO upload_pipeline.workers (id, host, commit, branch, version, environment, slots)
VALUES (gen_random_uuid(), 'here', 'c0ffee', 'main', '0.1.0', 'development', 4);
INSERT INTO upload_pipeline.uploads (upload_id, user_id, storage_key, filename, mime, expires_at)
VALUES (gen_random_uuid(), '00000000-0000-0000-0000-0000000000aa', 'raw/1', 'doc1.md', 'text/markdown', 'infinity');
INSERT INTO upload_pipeline.api_keys (key_id, name, key_sha256, scopes) VALUES (gen_random_uuid(), 'a key', 'x', 'read');
INSERT INTO upload_pipeline.idempotency_keys (user_id, key, route, body_sha256, expires_at)
VALUES ('00000000-0000-0000-0000-0000000000aa', 'k', 'POST /upload', 'x', now() + interval '1 day');
INSERT INTO upload_pipeline.storage_deletions (deletion_id, user_id, document_id, storage_key)
VALUES (gen_random_uuid(), '00000000-0000-0000-0000-0000000000aa', gen_random_uuid(), 'raw/gone');
INSERT INTO upload_pipeline.environment_moves (moved_from, moved_to, moved_by) VALUES ('staging', 'development', 'a person');
INSERT INTO upload_pipeline.provider_calls (job_id, provider, kind, lease_epoch)
VALUES ('10000000-0000-0000-0000-000000000004', 'llamaparse', 'pdf', 5);
