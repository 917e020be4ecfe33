-- Which build each worker is, to the minute and the migration, and every move of the stamp.

-- Nullable: builds that do not know these columns write rows, too.
ALTER TABLE upload_pipeline.workers
  ADD COLUMN IF NOT EXISTS built_at       timestamptz,
  ADD COLUMN IF NOT EXISTS schema_version int;

CREATE TABLE IF NOT EXISTS upload_pipeline.environment_moves (
  move_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  moved_at   timestamptz NOT NULL DEFAULT now(),
  moved_from text        NOT NULL,
  moved_to   text        NOT NULL CHECK (moved_to <> moved_from),
  moved_by   text        NOT NULL
);
ALTER TABLE upload_pipeline.environment_moves ENABLE ROW LEVEL SECURITY;

COMMENT ON COLUMN upload_pipeline.workers.built_at IS 'When its program was built; null where that build did not say.';
COMMENT ON COLUMN upload_pipeline.workers.schema_version IS 'The newest migration that its build knows; null where that build did not say.';
COMMENT ON TABLE upload_pipeline.environment_moves IS 'Every time that the stamp of this database was moved on purpose, by app migrate --move-stamp.';
COMMENT ON COLUMN upload_pipeline.environment_moves.move_id IS 'Ascending.';
COMMENT ON COLUMN upload_pipeline.environment_moves.moved_at IS 'When.';
COMMENT ON COLUMN upload_pipeline.environment_moves.moved_from IS 'The environment that the database had belonged to.';
COMMENT ON COLUMN upload_pipeline.environment_moves.moved_to IS 'The environment that it belongs to from then on.';
COMMENT ON COLUMN upload_pipeline.environment_moves.moved_by IS 'The build of app that did it, and the role that it was logged in as.';
