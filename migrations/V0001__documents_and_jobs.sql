-- Documents and their jobs: created where there are none, adopted where the system being replaced left its own
-- (its rows stay; what they lack is added, what contradicts the rules is corrected, and last_error says so).

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
  ADD COLUMN IF NOT EXISTS finished_at       timestamptz,
  ADD COLUMN IF NOT EXISTS signalled_at      timestamptz;

-- Correct what no row may be: the checks below hold for every row that a worker will ever touch.
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

-- The replaced system wrote `failed_parse` for every failure and never tried again: such a job waits for a person.
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
-- Running jobs: takeover and the bound per user read it; it has as many live entries as the fleet has slots.
-- The lease is not in it, so that a heartbeat stays a heap-only update.
CREATE INDEX IF NOT EXISTS ix_upload_jobs_working ON upload_pipeline.upload_jobs (user_id) WHERE state = 'working';
-- Jobs in whose steps workers died more than once, which run alone; almost always empty.
CREATE INDEX IF NOT EXISTS ix_upload_jobs_suspect
  ON upload_pipeline.upload_jobs (run_at)
  WHERE crash_count > 1 AND state IN ('queued', 'retryable');
-- One user's failed jobs, for the redrive of many, and their count.
CREATE INDEX IF NOT EXISTS ix_upload_jobs_deadletter ON upload_pipeline.upload_jobs (user_id, job_id) WHERE state = 'deadletter';
CREATE INDEX IF NOT EXISTS ix_upload_jobs_document ON upload_pipeline.upload_jobs (document_id, created_at DESC);
CREATE INDEX IF NOT EXISTS ix_upload_jobs_user_created ON upload_pipeline.upload_jobs (user_id, created_at DESC, job_id DESC);

-- Each job is updated a dozen times and then kept: the live rows are few, the dead ones many. With the default (20 % of the
-- table) the dead would outnumber the live a thousand times before the first vacuum; so a fixed number, without pauses.
-- fillfactor: room on each page for the next version of its rows, so that progress and heartbeats stay heap-only.
ALTER TABLE upload_pipeline.upload_jobs SET (
  fillfactor = 80,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_scale_factor = 0.02,
  autovacuum_analyze_threshold = 2000
);

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
COMMENT ON COLUMN upload_pipeline.upload_jobs.claimed_by IS 'The worker process that holds the lease; null: no worker has the job.';
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
COMMENT ON COLUMN upload_pipeline.upload_jobs.signalled_at IS 'When a provider last called back while a worker had the job; later than claimed_at, it means that a snooze would oversleep.';
