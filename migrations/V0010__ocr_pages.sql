-- The pages of a document in work that OCR has read: a crash, or the end of a turn, costs at most the page in hand.

CREATE TABLE IF NOT EXISTS upload_pipeline.ocr_pages (
  job_id  uuid        NOT NULL REFERENCES upload_pipeline.upload_jobs (job_id) ON DELETE CASCADE,
  page    integer     NOT NULL,
  text    text        NOT NULL,
  read_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT ocr_pages_pkey PRIMARY KEY (job_id, page),
  CONSTRAINT ck_ocr_pages_page CHECK (page > 0)
);
COMMENT ON TABLE upload_pipeline.ocr_pages IS 'Pages of documents in work that OCR has read. They go once the document is parsed, and with the job.';
COMMENT ON COLUMN upload_pipeline.ocr_pages.job_id IS 'The job of the document.';
COMMENT ON COLUMN upload_pipeline.ocr_pages.page IS 'The page, from 1.';
COMMENT ON COLUMN upload_pipeline.ocr_pages.text IS 'Its lines and words with their places, as JSON that only the parser knows.';
COMMENT ON COLUMN upload_pipeline.ocr_pages.read_at IS 'When it was read.';
ALTER TABLE upload_pipeline.ocr_pages ENABLE ROW LEVEL SECURITY;
