-- Words: postings for each user, in place of tsvector and its GIN index. One row holds the postings of a term in up to 512
-- passages of a document, and the key covers it, so that a search reads the caller's part of the index and nothing else.
-- Small numbers keep the rows narrow; the uuids stay in documents and document_chunks.

CREATE TABLE upload_pipeline.search_users (
  user_id   uuid    PRIMARY KEY,
  user_no   int     GENERATED ALWAYS AS IDENTITY,
  languages text[]  NOT NULL DEFAULT '{}',
  is_filled boolean NOT NULL,
  CONSTRAINT uq_search_users_no UNIQUE (user_no)
);

CREATE TABLE upload_pipeline.search_documents (
  document_no     int      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  document_id     uuid     NOT NULL REFERENCES upload_pipeline.documents (document_id) ON DELETE CASCADE,
  user_no         int      NOT NULL REFERENCES upload_pipeline.search_users (user_no),
  passages        int      NOT NULL,
  language        text     NOT NULL,
  chunker_name    text     NOT NULL,
  chunker_version text     NOT NULL,
  version         smallint NOT NULL,
  CONSTRAINT uq_search_documents_id UNIQUE (document_id)
);
CREATE INDEX ix_search_documents_user ON upload_pipeline.search_documents (user_no) INCLUDE (passages);

CREATE TABLE upload_pipeline.search_words (
  user_no     int   NOT NULL,
  term        int   NOT NULL,
  document_no int   NOT NULL REFERENCES upload_pipeline.search_documents (document_no) ON DELETE CASCADE,
  block       int   NOT NULL,
  entries     bytea NOT NULL,
  CONSTRAINT pk_search_words PRIMARY KEY (user_no, term, document_no, block) INCLUDE (entries)
);
CREATE INDEX ix_search_words_document ON upload_pipeline.search_words (document_no);

CREATE TABLE upload_pipeline.search_titles (
  user_no     int NOT NULL,
  term        int NOT NULL,
  document_no int NOT NULL REFERENCES upload_pipeline.search_documents (document_no) ON DELETE CASCADE,
  CONSTRAINT pk_search_titles PRIMARY KEY (user_no, term, document_no)
);
CREATE INDEX ix_search_titles_document ON upload_pipeline.search_titles (document_no);

-- Searches read the indexes alone while the visibility map is current: a vacuum after each twentieth of new rows.
ALTER TABLE upload_pipeline.search_words SET (
  autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_vacuum_insert_threshold = 20000,
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05
);

ALTER TABLE upload_pipeline.search_users     ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.search_documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.search_words     ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.search_titles    ENABLE ROW LEVEL SECURITY;

-- The postings of some terms of a user, a row a term. Fixed settings: the plan must be a look-up for each term, however old the
-- statistics are, and compiling it would take longer than it runs.
CREATE FUNCTION upload_pipeline.word_postings(
  p_user_no   int,
  p_terms     int[],
  p_documents int[]  -- null: every document
) RETURNS TABLE (term int, documents int[], blocks int[], lengths int[], entries bytea)
LANGUAGE sql STABLE SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
  SET enable_mergejoin = off SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
  SELECT w.term, array_agg(w.document_no), array_agg(w.block), array_agg(length(w.entries)), string_agg(w.entries, ''::bytea)
  FROM unnest(p_terms) AS t (term)
  JOIN upload_pipeline.search_words AS w ON w.user_no = p_user_no AND w.term = t.term
  WHERE p_documents IS NULL OR w.document_no = ANY (p_documents)
  GROUP BY w.term
$$;
COMMENT ON FUNCTION upload_pipeline.word_postings IS 'Postings of terms: documents, blocks and lengths of entries side by side, the entries one after the other.';

-- Where there are no passages there is nothing to carry over. Elsewhere `app migrate` drops the column once housekeeping has filled
-- the new index.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM upload_pipeline.document_chunks) THEN
    ALTER TABLE upload_pipeline.document_chunks DROP COLUMN tsv;
  END IF;
END
$$;

CREATE OR REPLACE VIEW upload_pipeline.architecture_notes AS
SELECT note.architecture_type, note.description, timestamptz '2026-11-30 00:00:00+00' AS documented_at
FROM (VALUES
  ('direct_write', 'Chunks and vectors go straight to document_chunks; search reads complete documents only.'),
  ('queue', 'upload_jobs is the queue. status is the checkpoint, state says who has the job; a claim writes owner, lease and epoch in one statement.'),
  ('fence', 'Every write of a worker names claimed_by and lease_epoch: a worker that lost its lease changes nothing.'),
  ('wake_up', 'Polling is the truth. A row inserted without enqueued_by notifies the channel upload_jobs by trigger; the API sends one NOTIFY for many.'),
  ('identifiers', 'document_id = UUIDv5 of user_id:file_sha256, chunk_id = UUIDv5 of document_id:chunker:version:ordinal; doing a step twice changes nothing.'),
  ('vectors', 'embedding has no fixed dimension and is null until it is real. Each model that has enough vectors gets a partial HNSW index of its own.'),
  ('words', 'search_words holds postings for each user, term and block of passages; the service scores them by BM25 and fuses them with the vectors.'),
  ('uploads', 'A row in uploads precedes the first byte of an object, so that nothing can be stored that housekeeping would not find.'),
  ('deletion', 'Deleting a document removes its rows at once and queues its stored objects in storage_deletions; the receipt is pending until they are gone.'),
  ('row_security', 'Row-level security is on for every table. A Supabase authenticated user reads its own rows and writes none.')
) AS note (architecture_type, description);

COMMENT ON TABLE upload_pipeline.search_users IS 'Users as the index on words knows them.';
COMMENT ON COLUMN upload_pipeline.search_users.user_id IS 'The user.';
COMMENT ON COLUMN upload_pipeline.search_users.user_no IS 'Its number in the index on words.';
COMMENT ON COLUMN upload_pipeline.search_users.languages IS 'ISO 639-1 codes of the languages that its documents were ever in; a question is looked up in the base forms of each.';
COMMENT ON COLUMN upload_pipeline.search_users.is_filled IS 'Whether every complete document is in the index on words; until then tsvector answers.';
COMMENT ON TABLE upload_pipeline.search_documents IS 'Documents that are in the index on words.';
COMMENT ON COLUMN upload_pipeline.search_documents.document_no IS 'Its number in the index on words; a new one each time it is indexed.';
COMMENT ON COLUMN upload_pipeline.search_documents.document_id IS 'The document.';
COMMENT ON COLUMN upload_pipeline.search_documents.user_no IS 'Its owner.';
COMMENT ON COLUMN upload_pipeline.search_documents.passages IS 'How many passages it has.';
COMMENT ON COLUMN upload_pipeline.search_documents.language IS 'ISO 639-1 code of its language; empty: none that words have a base form in.';
COMMENT ON COLUMN upload_pipeline.search_documents.chunker_name IS 'What cut its passages.';
COMMENT ON COLUMN upload_pipeline.search_documents.chunker_version IS 'Which version of that.';
COMMENT ON COLUMN upload_pipeline.search_documents.version IS 'The version of the rules that made its terms.';
COMMENT ON TABLE upload_pipeline.search_words IS 'The index on words: postings of a term in a block of 512 passages of a document.';
COMMENT ON COLUMN upload_pipeline.search_words.user_no IS 'The owner.';
COMMENT ON COLUMN upload_pipeline.search_words.term IS 'A number made of a word in its base form.';
COMMENT ON COLUMN upload_pipeline.search_words.document_no IS 'The document.';
COMMENT ON COLUMN upload_pipeline.search_words.block IS 'Passages from 512 times this number on.';
COMMENT ON COLUMN upload_pipeline.search_words.entries IS 'Three bytes a passage: its place in the block, low byte first, and the weight of the term in it, 1 to 255.';
COMMENT ON TABLE upload_pipeline.search_titles IS 'The terms of the names of documents.';
COMMENT ON COLUMN upload_pipeline.search_titles.user_no IS 'The owner.';
COMMENT ON COLUMN upload_pipeline.search_titles.term IS 'A number made of a word in its base form.';
COMMENT ON COLUMN upload_pipeline.search_titles.document_no IS 'The document.';
