-- Vectors by a service that charges for them: who computes those of the active model, what was asked for, and how many
-- requests all workers together may send a minute.

ALTER TABLE upload_pipeline.active_model ADD COLUMN provider text NOT NULL DEFAULT 'local';
ALTER TABLE upload_pipeline.active_model ADD CONSTRAINT ck_active_model_provider CHECK (provider IN ('local', 'openai'));
COMMENT ON COLUMN upload_pipeline.active_model.provider IS 'Who computes its vectors: local, this machine; openai, a service that speaks OpenAI''s API.';

CREATE TABLE upload_pipeline.embed_calls (
  call_id       uuid        PRIMARY KEY,
  job_id        uuid        NOT NULL REFERENCES upload_pipeline.upload_jobs (job_id) ON DELETE CASCADE,
  provider      text        NOT NULL,
  model         text        NOT NULL,
  state         text        NOT NULL DEFAULT 'intended',
  inputs        integer     NOT NULL CHECK (inputs > 0),
  tokens        integer     NOT NULL CHECK (tokens >= 0),
  billed_tokens bigint,
  lease_epoch   bigint      NOT NULL,
  intended_at   timestamptz NOT NULL DEFAULT now(),
  ended_at      timestamptz,
  CONSTRAINT ck_embed_calls_state CHECK (state IN ('intended', 'stored', 'refused', 'uncertain')),
  CONSTRAINT ck_embed_calls_ended CHECK ((state = 'intended') = (ended_at IS NULL))
);
CREATE INDEX ix_embed_calls_job ON upload_pipeline.embed_calls (job_id);
ALTER TABLE upload_pipeline.embed_calls ENABLE ROW LEVEL SECURITY;

COMMENT ON TABLE upload_pipeline.embed_calls IS 'What was asked of an embedding service that charges for it: one row a request, written before it.';
COMMENT ON COLUMN upload_pipeline.embed_calls.call_id IS 'Its id.';
COMMENT ON COLUMN upload_pipeline.embed_calls.job_id IS 'The job that it is for.';
COMMENT ON COLUMN upload_pipeline.embed_calls.provider IS 'Who is asked: openai.';
COMMENT ON COLUMN upload_pipeline.embed_calls.model IS 'The model of the vectors, as in document_chunks.embed_model.';
COMMENT ON COLUMN upload_pipeline.embed_calls.state IS 'intended: about to be asked; stored: its vectors are committed; refused: it cost nothing; uncertain: its vectors are lost, and it may have been charged for.';
COMMENT ON COLUMN upload_pipeline.embed_calls.inputs IS 'Texts that were sent.';
COMMENT ON COLUMN upload_pipeline.embed_calls.tokens IS 'Their tokens, as they were reckoned before.';
COMMENT ON COLUMN upload_pipeline.embed_calls.billed_tokens IS 'Their tokens, as the service counted them; null: it did not say.';
COMMENT ON COLUMN upload_pipeline.embed_calls.lease_epoch IS 'The claim of our job under which it was asked.';
COMMENT ON COLUMN upload_pipeline.embed_calls.intended_at IS 'When it was about to be asked.';
COMMENT ON COLUMN upload_pipeline.embed_calls.ended_at IS 'When the call reached its last state; null until then.';

CREATE TABLE upload_pipeline.provider_rates (
  provider     text        PRIMARY KEY,
  requests_at  timestamptz NOT NULL DEFAULT to_timestamp(0),
  tokens_at    timestamptz NOT NULL DEFAULT to_timestamp(0),
  paused_until timestamptz NOT NULL DEFAULT to_timestamp(0)
);
ALTER TABLE upload_pipeline.provider_rates ENABLE ROW LEVEL SECURITY;

COMMENT ON TABLE upload_pipeline.provider_rates IS 'When the next request to a service may be sent, by all workers together.';
COMMENT ON COLUMN upload_pipeline.provider_rates.provider IS 'The service: openai.';
COMMENT ON COLUMN upload_pipeline.provider_rates.requests_at IS 'Until then the requests a minute are used up.';
COMMENT ON COLUMN upload_pipeline.provider_rates.tokens_at IS 'Until then the tokens a minute are used up.';
COMMENT ON COLUMN upload_pipeline.provider_rates.paused_until IS 'Until then the service wants no request, as it said itself.';

-- Equal texts of a user are found by their hash. Four bytes an entry, since only equality is asked for.
CREATE INDEX ix_document_chunks_sha ON upload_pipeline.document_chunks USING hash (chunk_sha);
