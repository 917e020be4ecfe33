-- Change of the embedding model while everything goes on. A chunk's vector of a model lies in its row in document_chunks, or beside it
-- in chunk_vectors. So both models have all their vectors, and the row active_model alone says which of them search reads: to
-- switch and to roll back is one UPDATE of that row. Until `app reembed start` the new tables are empty and nothing changes.

CREATE TABLE upload_pipeline.model_switch (
  only_one            boolean     PRIMARY KEY DEFAULT true CHECK (only_one),
  state               text        NOT NULL DEFAULT 'running',
  model               text        NOT NULL,
  version             text        NOT NULL,
  vector_dim          int         NOT NULL CHECK (vector_dim > 0),
  provider            text        NOT NULL,
  from_model          text        NOT NULL,
  from_version        text        NOT NULL,
  from_dim            int         NOT NULL CHECK (from_dim > 0),
  from_provider       text        NOT NULL,
  passages_per_minute int         NOT NULL DEFAULT 0 CHECK (passages_per_minute >= 0),
  started_at          timestamptz NOT NULL DEFAULT now(),
  finished_at         timestamptz,
  CONSTRAINT ck_model_switch_state CHECK (state IN ('running', 'finishing', 'finished')),
  CONSTRAINT ck_model_switch_provider CHECK (provider IN ('local', 'openai') AND from_provider IN ('local', 'openai')),
  CONSTRAINT ck_model_switch_other CHECK ((model, version) <> (from_model, from_version))
);
ALTER TABLE upload_pipeline.model_switch ENABLE ROW LEVEL SECURITY;

-- By document and text: a passage that is cut again, or a version that takes the place of another, finds what was bought for its text.
CREATE TABLE upload_pipeline.chunk_vectors (
  document_id   uuid        NOT NULL REFERENCES upload_pipeline.documents (document_id) ON DELETE CASCADE,
  chunk_sha     text        NOT NULL,
  embed_model   text        NOT NULL,
  embed_version text        NOT NULL,
  vector_dim    int         NOT NULL,
  embedding     vector      NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_chunk_vectors PRIMARY KEY (document_id, chunk_sha, embed_model, embed_version),
  CONSTRAINT ck_chunk_vectors_vector CHECK (vector_dims(embedding) = vector_dim AND vector_norm(embedding) > 0)
);
ALTER TABLE upload_pipeline.chunk_vectors ENABLE ROW LEVEL SECURITY;
-- Equal texts of a user, as in document_chunks.
CREATE INDEX ix_chunk_vectors_sha ON upload_pipeline.chunk_vectors USING hash (chunk_sha);

-- What search_vectors is to document_chunks. A table of its own, since earlier builds write search_vectors by document_no alone.
CREATE TABLE upload_pipeline.packed_vectors (
  document_no   int      NOT NULL REFERENCES upload_pipeline.search_documents (document_no) ON DELETE CASCADE,
  embed_model   text     NOT NULL,
  embed_version text     NOT NULL,
  version       smallint NOT NULL,
  packed        bytea    NOT NULL,
  CONSTRAINT pk_packed_vectors PRIMARY KEY (document_no, embed_model, embed_version)
);
ALTER TABLE upload_pipeline.packed_vectors ALTER COLUMN packed SET STORAGE EXTERNAL;
ALTER TABLE upload_pipeline.packed_vectors ENABLE ROW LEVEL SECURITY;

CREATE TABLE upload_pipeline.refused_texts (
  document_id uuid        NOT NULL REFERENCES upload_pipeline.documents (document_id) ON DELETE CASCADE,
  chunk_sha   text        NOT NULL,
  code        text        NOT NULL,
  refused_at  timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_refused_texts PRIMARY KEY (document_id, chunk_sha)
);
ALTER TABLE upload_pipeline.refused_texts ENABLE ROW LEVEL SECURITY;

-- The jobs of a run have no document: each goes over a part of all of them.
ALTER TABLE upload_pipeline.upload_jobs
  ALTER COLUMN document_id DROP NOT NULL,
  ADD CONSTRAINT ck_upload_jobs_document CHECK (document_id IS NOT NULL OR enqueued_by IS NOT DISTINCT FROM 'reembed') NOT VALID;
ALTER TABLE upload_pipeline.events ALTER COLUMN document_id DROP NOT NULL;

-- A claim by a build that knows such jobs says so; any other leaves them as they are, for the next one.
CREATE FUNCTION upload_pipeline.leave_reembed_job() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RETURN NULL;
END
$$;
CREATE TRIGGER tr_upload_jobs_leave_reembed BEFORE UPDATE OF claimed_by ON upload_pipeline.upload_jobs
  FOR EACH ROW
  WHEN (NEW.document_id IS NULL AND NEW.claimed_by IS NOT NULL AND NEW.claimed_by IS DISTINCT FROM OLD.claimed_by
    AND current_setting('upload_pipeline.knows_reembed', true) IS DISTINCT FROM 'on')
  EXECUTE FUNCTION upload_pipeline.leave_reembed_job();

COMMENT ON COLUMN upload_pipeline.upload_jobs.document_id IS 'The document that the job is for; null: a job of `app reembed`, which is for all.';
COMMENT ON COLUMN upload_pipeline.events.document_id IS 'The document of that job; null for a job of `app reembed`.';

COMMENT ON TABLE upload_pipeline.model_switch IS 'The change of model that is going on, or the last one. Whether it was switched to says active_model.';
COMMENT ON COLUMN upload_pipeline.model_switch.only_one IS 'Always true: there is one row.';
COMMENT ON COLUMN upload_pipeline.model_switch.state IS 'running: both models have vectors; finishing: those of the model that is not active are being deleted; finished: they are gone.';
COMMENT ON COLUMN upload_pipeline.model_switch.model IS 'The new model.';
COMMENT ON COLUMN upload_pipeline.model_switch.version IS 'The version of its vectors.';
COMMENT ON COLUMN upload_pipeline.model_switch.vector_dim IS 'Components of its vectors.';
COMMENT ON COLUMN upload_pipeline.model_switch.provider IS 'Who computes its vectors, as in active_model.';
COMMENT ON COLUMN upload_pipeline.model_switch.from_model IS 'The model that was active when the run began.';
COMMENT ON COLUMN upload_pipeline.model_switch.from_version IS 'The version of its vectors.';
COMMENT ON COLUMN upload_pipeline.model_switch.from_dim IS 'Components of its vectors.';
COMMENT ON COLUMN upload_pipeline.model_switch.from_provider IS 'Who computed its vectors.';
COMMENT ON COLUMN upload_pipeline.model_switch.passages_per_minute IS 'Passages a minute that all jobs of the run embed at most; 0 = no limit.';
COMMENT ON COLUMN upload_pipeline.model_switch.started_at IS 'When the run began.';
COMMENT ON COLUMN upload_pipeline.model_switch.finished_at IS 'When the vectors of the model that is not active were gone; null until then.';

COMMENT ON COLUMN upload_pipeline.provider_rates.provider IS 'The service: openai; or reembed, for the passages a minute of a change of model.';

COMMENT ON TABLE upload_pipeline.chunk_vectors IS 'Vectors of passages beside those in document_chunks: of the model that is to become active, or of the one that was.';
COMMENT ON COLUMN upload_pipeline.chunk_vectors.document_id IS 'The document.';
COMMENT ON COLUMN upload_pipeline.chunk_vectors.chunk_sha IS 'The text, as in document_chunks.chunk_sha.';
COMMENT ON COLUMN upload_pipeline.chunk_vectors.embed_model IS 'The model of the vector.';
COMMENT ON COLUMN upload_pipeline.chunk_vectors.embed_version IS 'The version of that model.';
COMMENT ON COLUMN upload_pipeline.chunk_vectors.vector_dim IS 'Components of the vector.';
COMMENT ON COLUMN upload_pipeline.chunk_vectors.embedding IS 'The vector, never of zeros.';
COMMENT ON COLUMN upload_pipeline.chunk_vectors.created_at IS 'When it was written.';

COMMENT ON TABLE upload_pipeline.packed_vectors IS 'The vectors of chunk_vectors packed by document, as search_vectors holds those of document_chunks.';
COMMENT ON COLUMN upload_pipeline.packed_vectors.document_no IS 'The document, as in search_documents.';
COMMENT ON COLUMN upload_pipeline.packed_vectors.embed_model IS 'The model of the vectors.';
COMMENT ON COLUMN upload_pipeline.packed_vectors.embed_version IS 'The version of that model.';
COMMENT ON COLUMN upload_pipeline.packed_vectors.version IS 'The version of the packing.';
COMMENT ON COLUMN upload_pipeline.packed_vectors.packed IS 'As in search_vectors.';

COMMENT ON TABLE upload_pipeline.refused_texts IS 'Passages that the service of the new model does not take; `app reembed start` tries them again.';
COMMENT ON COLUMN upload_pipeline.refused_texts.document_id IS 'The document.';
COMMENT ON COLUMN upload_pipeline.refused_texts.chunk_sha IS 'The text, as in document_chunks.chunk_sha.';
COMMENT ON COLUMN upload_pipeline.refused_texts.code IS 'Why, as a code of docs/errors.md.';
COMMENT ON COLUMN upload_pipeline.refused_texts.refused_at IS 'When.';
