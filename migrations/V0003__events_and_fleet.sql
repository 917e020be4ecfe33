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
