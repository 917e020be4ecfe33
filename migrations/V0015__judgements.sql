-- Questions of users and what they said of the hits. A judgement names a place: a document, and its page or its words. So it stays
-- right when the document is cut into other passages.

CREATE TABLE upload_pipeline.search_questions (
  question_id uuid        PRIMARY KEY,
  user_id     uuid        NOT NULL,
  question    text        NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE upload_pipeline.search_judgements (
  judgement_id uuid        PRIMARY KEY,
  question_id  uuid        NOT NULL REFERENCES upload_pipeline.search_questions (question_id) ON DELETE CASCADE,
  user_id      uuid        NOT NULL,
  document_id  uuid        NOT NULL REFERENCES upload_pipeline.documents (document_id) ON DELETE CASCADE,
  page         int,
  text         text,
  verdict      text        NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  judged_at    timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT ck_search_judgements_verdict CHECK (verdict IN ('right', 'wrong')),
  CONSTRAINT ck_search_judgements_place CHECK (page IS NOT NULL OR text IS NOT NULL)
);
CREATE INDEX ix_search_judgements_user ON upload_pipeline.search_judgements (user_id, created_at, judgement_id);
CREATE INDEX ix_search_judgements_question ON upload_pipeline.search_judgements (question_id);
CREATE INDEX ix_search_judgements_document ON upload_pipeline.search_judgements (document_id);
CREATE INDEX ix_search_judgements_judged ON upload_pipeline.search_judgements (judged_at);

ALTER TABLE upload_pipeline.search_questions  ENABLE ROW LEVEL SECURITY;
ALTER TABLE upload_pipeline.search_judgements ENABLE ROW LEVEL SECURITY;

-- A question goes with its last judgement, however that goes. The lock comes first, in a statement of its own: a judgement that is
-- being added holds it, and is seen by the second statement.
CREATE FUNCTION upload_pipeline.delete_unjudged_questions() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  PERFORM
  FROM upload_pipeline.search_questions AS q
  WHERE q.question_id IN (SELECT gone.question_id FROM gone)
  ORDER BY q.question_id
  FOR UPDATE;
  DELETE FROM upload_pipeline.search_questions AS q
  WHERE q.question_id IN (SELECT gone.question_id FROM gone)
    AND NOT EXISTS (SELECT FROM upload_pipeline.search_judgements AS j WHERE j.question_id = q.question_id);
  RETURN NULL;
END
$$;
CREATE TRIGGER tr_search_judgements_deleted AFTER DELETE ON upload_pipeline.search_judgements
  REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION upload_pipeline.delete_unjudged_questions();

COMMENT ON FUNCTION upload_pipeline.delete_unjudged_questions IS 'Deletes questions whose last judgement was deleted.';
COMMENT ON TABLE upload_pipeline.search_questions IS 'Questions that users judged hits of.';
COMMENT ON COLUMN upload_pipeline.search_questions.question_id IS 'UUIDv5 of user and question.';
COMMENT ON COLUMN upload_pipeline.search_questions.user_id IS 'Who asked.';
COMMENT ON COLUMN upload_pipeline.search_questions.question IS 'The question, as it was asked.';
COMMENT ON COLUMN upload_pipeline.search_questions.created_at IS 'When a hit of it was first judged.';
COMMENT ON TABLE upload_pipeline.search_judgements IS 'What users said of places in their documents: whether they answer a question.';
COMMENT ON COLUMN upload_pipeline.search_judgements.judgement_id IS 'UUIDv5 of question, document, page and text: judging a place again changes the verdict.';
COMMENT ON COLUMN upload_pipeline.search_judgements.question_id IS 'The question.';
COMMENT ON COLUMN upload_pipeline.search_judgements.user_id IS 'Who judged.';
COMMENT ON COLUMN upload_pipeline.search_judgements.document_id IS 'The document.';
COMMENT ON COLUMN upload_pipeline.search_judgements.page IS 'The page, from 1; null: the text alone names the place.';
COMMENT ON COLUMN upload_pipeline.search_judgements.text IS 'Words of the document that answer or do not; null: the page alone names the place.';
COMMENT ON COLUMN upload_pipeline.search_judgements.verdict IS 'right: the place answers the question; wrong: it does not.';
COMMENT ON COLUMN upload_pipeline.search_judgements.created_at IS 'When the place was first judged.';
COMMENT ON COLUMN upload_pipeline.search_judgements.judged_at IS 'When it was last judged; retention goes by it.';
