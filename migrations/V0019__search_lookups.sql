-- The look-ups of a search as functions, whose plans a session keeps: sent as statements, unnamed for the poolers' sake, each was
-- planned again, for longer than most of them run. The settings hold the plans to a look-up for each row, however old the
-- statistics are. They run with the rights of the caller.

-- The passages at places (number of the document, place in it), with the position of each place, from 1. Each document is looked
-- up once.
CREATE FUNCTION upload_pipeline.search_places(
  p_user      uuid,
  p_documents int[],
  p_ords      int[]
) RETURNS TABLE (place bigint, chunk_id uuid, document_id uuid, ord int, language text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
  SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH searched AS MATERIALIZED (
    SELECT n.document_no, s.document_id, s.chunker_name, s.chunker_version, s.language
    FROM (SELECT DISTINCT n.document_no FROM unnest(p_documents) AS n (document_no)) AS n
    CROSS JOIN LATERAL (
      SELECT s.document_id, s.chunker_name, s.chunker_version, s.language
      FROM upload_pipeline.search_documents AS s
      JOIN upload_pipeline.documents AS d ON d.document_id = s.document_id
      WHERE s.document_no = n.document_no AND d.user_id = p_user AND d.processing_status = 'complete'
      OFFSET 0
    ) AS s
  )
  SELECT n.i, k.chunk_id, s.document_id, n.ord, s.language
  FROM unnest(p_documents, p_ords) WITH ORDINALITY AS n (document_no, ord, i)
  JOIN searched AS s ON s.document_no = n.document_no
  CROSS JOIN LATERAL (
    SELECT k.chunk_id
    FROM upload_pipeline.document_chunks AS k
    WHERE k.document_id = s.document_id AND k.chunker_name = s.chunker_name AND k.chunker_version = s.chunker_version
      AND k.chunk_ord = n.ord
    OFFSET 0
  ) AS k;
END
$$;

-- The nearest of the passages at places, with their cosine.
CREATE FUNCTION upload_pipeline.search_cosines(
  p_user      uuid,
  p_vector    real[],
  p_model     text,
  p_version   text,
  p_documents int[],
  p_ords      int[],
  p_limit     bigint
) RETURNS TABLE (chunk_id uuid, document_id uuid, ord int, score double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
  SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
  -- The extension may be in any schema. The setting ends with the function.
  PERFORM set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname), true)
  FROM pg_extension AS e
  JOIN pg_namespace AS n ON n.oid = e.extnamespace
  WHERE e.extname = 'vector';
  RETURN QUERY
  WITH asked AS MATERIALIZED (SELECT p_vector::vector AS vector),
  searched AS MATERIALIZED (
    SELECT n.document_no, s.document_id, s.chunker_name, s.chunker_version
    FROM (SELECT DISTINCT n.document_no FROM unnest(p_documents) AS n (document_no)) AS n
    CROSS JOIN LATERAL (
      SELECT s.document_id, s.chunker_name, s.chunker_version
      FROM upload_pipeline.search_documents AS s
      JOIN upload_pipeline.documents AS d ON d.document_id = s.document_id
      WHERE s.document_no = n.document_no AND d.user_id = p_user AND d.processing_status = 'complete'
      OFFSET 0
    ) AS s
  )
  SELECT c.chunk_id, s.document_id, n.ord, 1 - (c.embedding <=> asked.vector) AS score
  FROM asked
  CROSS JOIN unnest(p_documents, p_ords) AS n (document_no, ord)
  JOIN searched AS s ON s.document_no = n.document_no
  CROSS JOIN LATERAL (
    SELECT k.chunk_id, e.embedding
    FROM upload_pipeline.document_chunks AS k
    -- A vector lies in the row of its passage or beside it, as a change of model has left it.
    CROSS JOIN LATERAL (
      SELECT k.embedding
      WHERE k.embed_model = p_model AND k.embed_version = p_version AND k.vector_dim = cardinality(p_vector)
        AND k.embedding IS NOT NULL
      UNION ALL
      SELECT b.embedding
      FROM upload_pipeline.chunk_vectors AS b
      WHERE b.document_id = k.document_id AND b.chunk_sha = k.chunk_sha AND b.embed_model = p_model
        AND b.embed_version = p_version AND b.vector_dim = cardinality(p_vector)
      LIMIT 1
    ) AS e
    WHERE k.document_id = s.document_id AND k.chunker_name = s.chunker_name AND k.chunker_version = s.chunker_version
      AND k.chunk_ord = n.ord
    OFFSET 0
  ) AS c
  ORDER BY score DESC, c.chunk_id
  LIMIT p_limit;
END
$$;

-- Passages as hits show them, in no particular order.
CREATE FUNCTION upload_pipeline.search_hits(p_user uuid, p_chunks uuid[])
RETURNS TABLE (
  chunk_id uuid, document_id uuid, filename text, ord int, heading text, text text, page_first int, page_last int, page_label text,
  boxes jsonb, language text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
  SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT c.chunk_id, c.document_id, d.filename, c.chunk_ord, c.heading, c.text, c.page_first, c.page_last, c.page_label, c.boxes,
    coalesce(s.language, '')
  FROM unnest(p_chunks) AS n (chunk_id)
  JOIN upload_pipeline.document_chunks AS c ON c.chunk_id = n.chunk_id
  JOIN upload_pipeline.documents AS d ON d.document_id = c.document_id
  LEFT JOIN upload_pipeline.search_documents AS s ON s.document_id = c.document_id
  WHERE d.user_id = p_user AND d.processing_status = 'complete';
END
$$;

COMMENT ON FUNCTION upload_pipeline.search_places IS 'Passages by number of the document and place in it.';
COMMENT ON FUNCTION upload_pipeline.search_cosines IS 'The nearest of some passages by their real vectors.';
COMMENT ON FUNCTION upload_pipeline.search_hits IS 'Passages as hits show them.';
