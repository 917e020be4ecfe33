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

-- Each chunk is written twice, the second time with its vector: rows of kilobytes, whose dead versions HNSW and GIN carry along. A
-- vacuum also takes in what GIN has pending, which every search by words reads through meanwhile.
ALTER TABLE upload_pipeline.document_chunks SET (
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05
);

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
