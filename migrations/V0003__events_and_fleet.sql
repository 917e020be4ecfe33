-- What happened to jobs, who works, and what only `app` uses.

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

-- No foreign keys: an event is written at every transition of every job, and two keys would be most of its price.
ALTER TABLE upload_pipeline.events
  ADD CONSTRAINT ck_events_type
    CHECK (type IN ('enqueued', 'stage_started', 'stage_done', 'retry', 'error', 'finalized', 'snoozed', 'taken_over',
      'handed_back', 'cancelled', 'redriven')) NOT VALID,
  ADD CONSTRAINT ck_events_severity CHECK (severity IN ('info', 'warn', 'error')) NOT VALID;

CREATE INDEX IF NOT EXISTS ix_events_job ON upload_pipeline.events (job_id, seq);
-- The oldest first, for retention; they come in order, so an insert costs a place at the index's right edge.
CREATE INDEX IF NOT EXISTS ix_events_ts ON upload_pipeline.events (ts);

-- Events are written once, read soon and deleted by age: vacuumed a little at a time, with the default pauses.
ALTER TABLE upload_pipeline.events SET (
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05
);

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
CREATE INDEX IF NOT EXISTS ix_webhook_log_processed ON upload_pipeline.webhook_log (processed_at);

CREATE TABLE upload_pipeline.workers (
  id             uuid        PRIMARY KEY,
  host           text        NOT NULL,
  commit         text        NOT NULL,
  branch         text        NOT NULL,
  version        text        NOT NULL,
  environment    text        NOT NULL,
  started_at     timestamptz NOT NULL DEFAULT now(),
  last_seen_at   timestamptz NOT NULL DEFAULT now(),
  running_jobs   int         NOT NULL DEFAULT 0,
  slots          int         NOT NULL,
  built_at       timestamptz,
  schema_version int
);
-- Each worker's row is updated at every heartbeat; the table has one page or a few, and should keep them.
ALTER TABLE upload_pipeline.workers SET (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 200,
  autovacuum_vacuum_cost_delay = 0
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
  user_id      uuid        NOT NULL,
  key          text        NOT NULL,
  route        text        NOT NULL,
  body_sha256  text        NOT NULL,
  status       int,
  response     jsonb,
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL,
  attempt      uuid,
  locked_until timestamptz,
  location     text,
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
CREATE INDEX ix_storage_deletions_done ON upload_pipeline.storage_deletions (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE upload_pipeline.housekeeping (
  task        text        PRIMARY KEY,
  next_run_at timestamptz NOT NULL DEFAULT now(),
  last_run_at timestamptz,
  position    uuid
);
INSERT INTO upload_pipeline.housekeeping (task) VALUES ('sweep'), ('ended_jobs');

CREATE TABLE upload_pipeline.environment_stamp (
  only_one    boolean     PRIMARY KEY DEFAULT true CHECK (only_one),
  environment text        NOT NULL CHECK (environment IN ('development', 'staging', 'production')),
  stamped_at  timestamptz NOT NULL DEFAULT now(),
  stamped_by  text        NOT NULL
);

CREATE TABLE upload_pipeline.environment_moves (
  move_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  moved_at   timestamptz NOT NULL DEFAULT now(),
  moved_from text        NOT NULL,
  moved_to   text        NOT NULL CHECK (moved_to <> moved_from),
  moved_by   text        NOT NULL
);

-- Written before a call that costs money: what a crash leaves `intended` may have been bought without an answer.
CREATE TABLE upload_pipeline.provider_calls (
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
CREATE INDEX ix_provider_calls_job ON upload_pipeline.provider_calls (job_id);
-- A job waits for one answer at a time.
CREATE UNIQUE INDEX uq_provider_calls_open ON upload_pipeline.provider_calls (job_id) WHERE state IN ('intended', 'accepted');

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
COMMENT ON COLUMN upload_pipeline.workers.built_at IS 'When its program was built; null where that build did not say.';
COMMENT ON COLUMN upload_pipeline.workers.schema_version IS 'The newest migration that its build knows; null where that build did not say.';

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
COMMENT ON COLUMN upload_pipeline.idempotency_keys.body_sha256 IS 'Fingerprint of the request: SHA-256 of its path, query and body, of a form the parts'' names, types and bytes; another one with the same key is refused. Empty while a form is being read.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.status IS 'HTTP status of the answer; null while the first request runs.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.response IS 'Body of the answer, without the signed URL, which is a secret and is made again.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.created_at IS 'When the first request came.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.expires_at IS 'Forgotten from then on.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.attempt IS 'The try that holds the key, new at each; only it may write the answer.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.locked_until IS 'While there is no answer: a repeat is refused until then, and does the work after it, since the process that held the key is gone. Renewed while the work goes on.';
COMMENT ON COLUMN upload_pipeline.idempotency_keys.location IS 'The header Location of the answer.';

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
COMMENT ON COLUMN upload_pipeline.housekeeping.position IS 'Where a chore of many turns goes on: behind this id; null: from the start.';

COMMENT ON TABLE upload_pipeline.environment_stamp IS 'The environment that this database belongs to; a process of another refuses to start.';
COMMENT ON COLUMN upload_pipeline.environment_stamp.only_one IS 'Always true: there is one row.';
COMMENT ON COLUMN upload_pipeline.environment_stamp.environment IS 'development, staging or production.';
COMMENT ON COLUMN upload_pipeline.environment_stamp.stamped_at IS 'When it was stamped.';
COMMENT ON COLUMN upload_pipeline.environment_stamp.stamped_by IS 'The version and commit of app that did.';

COMMENT ON TABLE upload_pipeline.environment_moves IS 'Every time that the stamp of this database was moved on purpose, by app migrate --move-stamp.';
COMMENT ON COLUMN upload_pipeline.environment_moves.move_id IS 'Ascending.';
COMMENT ON COLUMN upload_pipeline.environment_moves.moved_at IS 'When.';
COMMENT ON COLUMN upload_pipeline.environment_moves.moved_from IS 'The environment that the database had belonged to.';
COMMENT ON COLUMN upload_pipeline.environment_moves.moved_to IS 'The environment that it belongs to from then on.';
COMMENT ON COLUMN upload_pipeline.environment_moves.moved_by IS 'The build of app that did it, and the role that it was logged in as.';

COMMENT ON TABLE upload_pipeline.provider_calls IS 'What was asked of a provider that charges for it: one row a call, written before it.';
COMMENT ON COLUMN upload_pipeline.provider_calls.call_id IS 'Its id.';
COMMENT ON COLUMN upload_pipeline.provider_calls.job_id IS 'The job that it is for.';
COMMENT ON COLUMN upload_pipeline.provider_calls.provider IS 'Who is asked: llamaparse.';
COMMENT ON COLUMN upload_pipeline.provider_calls.kind IS 'What the file is by its content, as in documents.kind.';
COMMENT ON COLUMN upload_pipeline.provider_calls.state IS 'intended: about to be asked; accepted: the provider has the document; collected: its answer is stored; refused: it took nothing; failed: it could not read the document; gone: it has forgotten the job; uncertain: its answer was lost, so it may have taken the document; abandoned: asked again on purpose.';
COMMENT ON COLUMN upload_pipeline.provider_calls.provider_job IS 'The provider''s id of the job; null until it has accepted.';
COMMENT ON COLUMN upload_pipeline.provider_calls.lease_epoch IS 'The claim of our job under which it was asked.';
COMMENT ON COLUMN upload_pipeline.provider_calls.intended_at IS 'When it was about to be asked.';
COMMENT ON COLUMN upload_pipeline.provider_calls.accepted_at IS 'When it accepted; null until then.';
COMMENT ON COLUMN upload_pipeline.provider_calls.ended_at IS 'When the call reached its last state; null until then.';
