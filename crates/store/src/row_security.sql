-- Run at every `app migrate`, after the migrations: policies for Supabase's roles, where they exist.
-- A user is the `sub` of its JWT, as PostgREST leaves it in request.jwt.claims.
DO $$
DECLARE
  owned record;
BEGIN
  REVOKE ALL ON ALL TABLES IN SCHEMA upload_pipeline FROM PUBLIC;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'anon') THEN
    REVOKE ALL ON ALL TABLES IN SCHEMA upload_pipeline FROM anon;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticated') THEN
    RAISE NOTICE 'there is no role authenticated here: row-level security is on, its policies are skipped';
    RETURN;
  END IF;
  REVOKE ALL ON ALL TABLES IN SCHEMA upload_pipeline FROM authenticated;
  GRANT USAGE ON SCHEMA upload_pipeline TO authenticated;
  FOR owned IN
    SELECT *
    FROM (VALUES
      ('documents',       'user_id = me.id'),
      ('upload_jobs',     'user_id = me.id'),
      ('document_chunks', 'document_id IN (SELECT d.document_id FROM upload_pipeline.documents AS d WHERE d.user_id = me.id)'),
      ('document_versions', 'user_id = me.id'),
      ('usage_days',      'user_id = me.id'),
      ('version_chunks',  'document_id IN (SELECT d.document_id FROM upload_pipeline.documents AS d WHERE d.user_id = me.id)'),
      ('search_questions', 'user_id = me.id'),
      ('search_judgements', 'user_id = me.id'),
      -- What the functions for search read.
      ('chunk_vectors', 'document_id IN (SELECT d.document_id FROM upload_pipeline.documents AS d WHERE d.user_id = me.id)'),
      ('active_model', 'true'),
      ('search_users', 'user_id = me.id'),
      ('search_documents', 'user_no = (SELECT u.user_no FROM upload_pipeline.search_users AS u WHERE u.user_id = me.id)'),
      ('search_words', 'user_no = (SELECT u.user_no FROM upload_pipeline.search_users AS u WHERE u.user_id = me.id)'),
      ('search_titles', 'user_no = (SELECT u.user_no FROM upload_pipeline.search_users AS u WHERE u.user_id = me.id)'),
      ('events',          'document_id IN (SELECT d.document_id FROM upload_pipeline.documents AS d WHERE d.user_id = me.id)')
    ) AS t (name, condition)
  LOOP
    EXECUTE format('GRANT SELECT ON upload_pipeline.%I TO authenticated', owned.name);
    EXECUTE format('DROP POLICY IF EXISTS own_rows ON upload_pipeline.%I', owned.name);
    EXECUTE format('CREATE POLICY own_rows ON upload_pipeline.%I FOR SELECT TO authenticated USING (%s)', owned.name,
      replace(owned.condition, 'me.id',
        '(SELECT (nullif(current_setting(''request.jwt.claims'', true), '''')::jsonb ->> ''sub'')::uuid)'));
  END LOOP;
END
$$;
