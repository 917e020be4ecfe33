-- Where passages stand on the pages of their file.

ALTER TABLE upload_pipeline.documents ADD COLUMN IF NOT EXISTS layout text;
COMMENT ON COLUMN upload_pipeline.documents.layout IS 'JSON: where the lines of its markdown stand on its pages, and labels of pages; quotes nothing else of the document; null if the format has no pages, and for what was parsed before this column.';

ALTER TABLE upload_pipeline.document_chunks
  ADD COLUMN IF NOT EXISTS boxes      jsonb,
  ADD COLUMN IF NOT EXISTS page_label text;
COMMENT ON COLUMN upload_pipeline.document_chunks.boxes IS 'Where the passage stands: an array of {page, left, top, right, bottom}; pages from 1, edges from 0 to 1 of the page from its top left; null if unknown.';
COMMENT ON COLUMN upload_pipeline.document_chunks.page_label IS 'What is printed on its first page as the number; null if that is the number itself, or unknown.';
