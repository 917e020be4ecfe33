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
