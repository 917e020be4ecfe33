-- How a document was read: pages read, empty and failed, and what was left out.

ALTER TABLE upload_pipeline.documents ADD COLUMN IF NOT EXISTS record jsonb;
COMMENT ON COLUMN upload_pipeline.documents.record IS 'How its pages were read and what its text does not hold, by count; quotes no document; null until parsed, and for what was parsed before this column.';

ALTER TABLE upload_pipeline.events DROP CONSTRAINT IF EXISTS ck_events_type;
ALTER TABLE upload_pipeline.events
  ADD CONSTRAINT ck_events_type
    CHECK (type IN ('enqueued', 'stage_started', 'stage_done', 'retry', 'error', 'finalized', 'snoozed', 'taken_over',
      'handed_back', 'cancelled', 'redriven', 'partly_read')) NOT VALID;
