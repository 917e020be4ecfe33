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
