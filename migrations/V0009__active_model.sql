-- The model whose vectors search reads and workers write: vectors of different models cannot be compared.

CREATE TABLE IF NOT EXISTS upload_pipeline.active_model (
  only_one   boolean     PRIMARY KEY DEFAULT true CHECK (only_one),
  model      text        NOT NULL,
  version    text        NOT NULL,
  vector_dim integer     NOT NULL CHECK (vector_dim > 0),
  since      timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE upload_pipeline.active_model ENABLE ROW LEVEL SECURITY;

COMMENT ON TABLE upload_pipeline.active_model IS 'The model whose vectors search reads and workers write. No row until a model was first used; EMBED_MODEL names that one.';
COMMENT ON COLUMN upload_pipeline.active_model.only_one IS 'Always true: there is one row.';
COMMENT ON COLUMN upload_pipeline.active_model.model IS 'Its name, as in document_chunks.embed_model.';
COMMENT ON COLUMN upload_pipeline.active_model.version IS 'The version of its vectors, as in document_chunks.embed_version.';
COMMENT ON COLUMN upload_pipeline.active_model.vector_dim IS 'Components of a vector.';
COMMENT ON COLUMN upload_pipeline.active_model.since IS 'When it became the active one.';

-- A database that has vectors keeps their model: the one of most of them.
INSERT INTO upload_pipeline.active_model (model, version, vector_dim)
SELECT c.embed_model, c.embed_version, c.vector_dim
FROM upload_pipeline.document_chunks AS c
WHERE c.embedding IS NOT NULL
GROUP BY c.embed_model, c.embed_version, c.vector_dim
ORDER BY count(*) DESC
LIMIT 1
ON CONFLICT DO NOTHING;
