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
