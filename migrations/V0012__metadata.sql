-- What a client says of a document, and lists and searches filter by.

ALTER TABLE upload_pipeline.documents ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}';
ALTER TABLE upload_pipeline.documents ADD CONSTRAINT ck_documents_metadata CHECK (jsonb_typeof(metadata) = 'object');
CREATE INDEX ix_documents_metadata ON upload_pipeline.documents USING gin (metadata jsonb_path_ops);

COMMENT ON COLUMN upload_pipeline.documents.metadata IS 'A JSON object of the client''s own, up to 8 KiB; filters of lists and searches ask for it.';
