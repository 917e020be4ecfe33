-- What is paid: what each call to a provider was reserved and has cost, and sums by user and day, which outlive the documents.
-- Amounts are US cents, exact to nine decimals.

ALTER TABLE upload_pipeline.embed_calls
  ADD COLUMN day            date,
  ADD COLUMN reserved_cents numeric(20, 9),
  ADD COLUMN cost_cents     numeric(20, 9);
COMMENT ON COLUMN upload_pipeline.embed_calls.day IS 'The day (UTC) in whose usage_days it is counted; null: an earlier build asked, and it is counted nowhere.';
COMMENT ON COLUMN upload_pipeline.embed_calls.reserved_cents IS 'What it was expected to cost, in US cents: reserved before it was asked, and spent for as long as its end is not known; null: there was no price.';
COMMENT ON COLUMN upload_pipeline.embed_calls.cost_cents IS 'What it has cost, in US cents, once its vectors are stored; null: not stored, or there was no price.';

ALTER TABLE upload_pipeline.provider_calls
  ADD COLUMN model          text,
  ADD COLUMN pages          integer CHECK (pages > 0),
  ADD COLUMN billed_pages   integer CHECK (billed_pages >= 0),
  ADD COLUMN day            date,
  ADD COLUMN reserved_cents numeric(20, 9),
  ADD COLUMN cost_cents     numeric(20, 9);
COMMENT ON COLUMN upload_pipeline.provider_calls.model IS 'How it reads: of LlamaParse, the tier; null: an earlier build asked.';
COMMENT ON COLUMN upload_pipeline.provider_calls.pages IS 'Pages of the document, as they were counted before; null: an earlier build asked.';
COMMENT ON COLUMN upload_pipeline.provider_calls.billed_pages IS 'Pages of its answer; null until that is stored.';
COMMENT ON COLUMN upload_pipeline.provider_calls.day IS 'As in embed_calls.';
COMMENT ON COLUMN upload_pipeline.provider_calls.reserved_cents IS 'As in embed_calls.';
COMMENT ON COLUMN upload_pipeline.provider_calls.cost_cents IS 'What it has cost, in US cents, once its answer is stored; null: not stored, or there was no price.';

CREATE TABLE upload_pipeline.usage_days (
  user_id            uuid           NOT NULL,
  day                date           NOT NULL,
  provider           text           NOT NULL,
  model              text           NOT NULL,
  requests           bigint         NOT NULL DEFAULT 0,
  tokens             bigint         NOT NULL DEFAULT 0,
  pages              bigint         NOT NULL DEFAULT 0,
  cost_cents         numeric(20, 9) NOT NULL DEFAULT 0,
  unpriced_requests  bigint         NOT NULL DEFAULT 0,
  uncertain_requests bigint         NOT NULL DEFAULT 0,
  uncertain_tokens   bigint         NOT NULL DEFAULT 0,
  uncertain_pages    bigint         NOT NULL DEFAULT 0,
  uncertain_cents    numeric(20, 9) NOT NULL DEFAULT 0,
  uncertain_unpriced bigint         NOT NULL DEFAULT 0,
  updated_at         timestamptz    NOT NULL DEFAULT now(),
  CONSTRAINT pk_usage_days PRIMARY KEY (user_id, day, provider, model)
);
-- All users' sum of a day, and the oldest first, for retention.
CREATE INDEX ix_usage_days_day ON upload_pipeline.usage_days (day);
ALTER TABLE upload_pipeline.usage_days ENABLE ROW LEVEL SECURITY;
-- A row is changed twice for each request of its user; it should stay on its page.
ALTER TABLE upload_pipeline.usage_days SET (
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_vacuum_threshold = 500
);

COMMENT ON TABLE upload_pipeline.usage_days IS 'What was bought for a user on a day, by provider and model. It names no document and stays when documents are deleted.';
COMMENT ON COLUMN upload_pipeline.usage_days.user_id IS 'The user.';
COMMENT ON COLUMN upload_pipeline.usage_days.day IS 'The day, in UTC, on which it was asked for.';
COMMENT ON COLUMN upload_pipeline.usage_days.provider IS 'Who charges: openai, llamaparse.';
COMMENT ON COLUMN upload_pipeline.usage_days.model IS 'The embedding model, or the tier of LlamaParse.';
COMMENT ON COLUMN upload_pipeline.usage_days.requests IS 'Requests whose answer is stored.';
COMMENT ON COLUMN upload_pipeline.usage_days.tokens IS 'Their tokens, as the provider counted them, else as they were reckoned.';
COMMENT ON COLUMN upload_pipeline.usage_days.pages IS 'Their pages.';
COMMENT ON COLUMN upload_pipeline.usage_days.cost_cents IS 'What they have cost, in US cents, as far as there was a price.';
COMMENT ON COLUMN upload_pipeline.usage_days.unpriced_requests IS 'Those of them for which there was no price.';
COMMENT ON COLUMN upload_pipeline.usage_days.uncertain_requests IS 'Requests that were begun and may be charged: on their way, or without an answer for good.';
COMMENT ON COLUMN upload_pipeline.usage_days.uncertain_tokens IS 'Their tokens, as they were reckoned.';
COMMENT ON COLUMN upload_pipeline.usage_days.uncertain_pages IS 'Their pages, as they were counted before.';
COMMENT ON COLUMN upload_pipeline.usage_days.uncertain_cents IS 'What they may cost, in US cents, as far as there was a price. It counts as spent.';
COMMENT ON COLUMN upload_pipeline.usage_days.uncertain_unpriced IS 'Those of them for which there was no price.';
COMMENT ON COLUMN upload_pipeline.usage_days.updated_at IS 'When the row last changed.';

COMMENT ON COLUMN upload_pipeline.upload_jobs.cost_cents IS 'Not written any more, and 0: what a job has cost is the sum of cost_cents of its rows in embed_calls and provider_calls.';
