-- Search for clients of the database: a view, an RPC of PostgREST, a BI tool. The functions run with the rights of the caller,
-- under row-level security, and read the documents of the user that request.jwt.claims names, whichever role calls. What cutting words and
-- the model say of a question comes from `POST /search/terms`; what is a matter of ranking is here, and its constants come with the
-- terms. The hits are those of `POST /search`, in the same order.

-- The user in whose name PostgREST, or a tool that sets request.jwt.claims, calls.
CREATE FUNCTION upload_pipeline.search_caller() RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
$$;

-- The weight of a word that p_having of p_all have.
CREATE FUNCTION upload_pipeline.search_weight(p_all bigint, p_having bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
  SELECT ln(1.0::float8 + (greatest(p_all, p_having) - p_having + 0.5::float8) / (p_having + 0.5::float8))
$$;

-- The documents whose name has words of the question.
CREATE FUNCTION upload_pipeline.search_names(
  p_user_no   int,
  p_words     jsonb, -- of each word its terms
  p_documents int[]  -- null: every document
) RETURNS TABLE (document_no int, name double precision, words int[])
LANGUAGE sql STABLE SET search_path = pg_catalog SET jit = off AS $$
  WITH extent AS (
    SELECT count(*) AS documents
    FROM upload_pipeline.search_documents AS s
    WHERE s.user_no = p_user_no AND (p_documents IS NULL OR s.document_no = ANY (p_documents))
  ),
  named AS MATERIALIZED (
    SELECT DISTINCT w.i::int AS i, t.document_no
    FROM jsonb_array_elements(p_words) WITH ORDINALITY AS w (terms, i)
    CROSS JOIN LATERAL jsonb_array_elements_text(w.terms) AS e (term)
    JOIN upload_pipeline.search_titles AS t ON t.user_no = p_user_no AND t.term = e.term::int
    WHERE p_documents IS NULL OR t.document_no = ANY (p_documents)
  ),
  weights AS (
    SELECT n.i, upload_pipeline.search_weight(extent.documents, count(*)) AS weight
    FROM named AS n
    CROSS JOIN extent
    GROUP BY n.i, extent.documents
  )
  SELECT n.document_no, sum(w.weight ORDER BY n.i), array_agg(n.i ORDER BY n.i)
  FROM named AS n
  JOIN weights AS w ON w.i = n.i
  GROUP BY n.document_no
$$;

-- The best passages by words: BM25 over the postings. An entry has three bytes: the place in the block of 512 passages, low byte
-- first, and the weight of the term in the passage.
CREATE FUNCTION upload_pipeline.search_by_words(
  p_user_no   int,
  p_words     jsonb, -- of each word its terms
  p_documents int[], -- null: every document
  p_rules     jsonb
) RETURNS TABLE (place bigint, chunk_id uuid, document_id uuid, language text, score double precision, covered double precision, name double precision)
LANGUAGE sql STABLE SET search_path = pg_catalog SET jit = off AS $$
  WITH extent AS (
    SELECT coalesce(sum(s.passages), 0) AS passages
    FROM upload_pipeline.search_documents AS s
    WHERE s.user_no = p_user_no AND (p_documents IS NULL OR s.document_no = ANY (p_documents))
  ),
  asked AS (
    SELECT DISTINCT w.i::int AS i, e.term::int AS term
    FROM jsonb_array_elements(p_words) WITH ORDINALITY AS w (terms, i)
    CROSS JOIN LATERAL jsonb_array_elements_text(w.terms) AS e (term)
  ),
  -- A passage that has two forms of a word has the heavier.
  entries AS MATERIALIZED (
    SELECT a.i, p.document_no, p.block * 512 + get_byte(p.entries, k.at) + 256 * get_byte(p.entries, k.at + 1) AS ord,
      max(get_byte(p.entries, k.at + 2)) AS weight
    FROM asked AS a
    CROSS JOIN LATERAL (
      SELECT s.document_no, s.block, s.entries
      FROM upload_pipeline.search_words AS s
      WHERE s.user_no = p_user_no AND s.term = a.term
      OFFSET 0
    ) AS p
    CROSS JOIN LATERAL generate_series(0, length(p.entries) - 3, 3) AS k (at)
    WHERE p_documents IS NULL OR p.document_no = ANY (p_documents)
    GROUP BY 1, 2, 3
  ),
  weights AS MATERIALIZED (
    SELECT a.i, upload_pipeline.search_weight(extent.passages, coalesce(e.passages, 0)) AS weight
    FROM (SELECT DISTINCT a.i FROM asked AS a) AS a
    CROSS JOIN extent
    LEFT JOIN (SELECT e.i, count(*) AS passages FROM entries AS e GROUP BY e.i) AS e ON e.i = a.i
  ),
  names AS MATERIALIZED (
    SELECT n.document_no, n.name, n.words
    FROM upload_pipeline.search_names(p_user_no, p_words, p_documents) AS n
  ),
  best AS MATERIALIZED (
    SELECT s.document_no, s.ord, s.words || coalesce(n.words, '{}') AS words, coalesce(n.name, 0) AS name,
      s.score + (p_rules ->> 'title')::float8 * coalesce(n.name, 0) AS score
    FROM (
      SELECT e.document_no, e.ord, array_agg(e.i) AS words,
        sum(w.weight * (p_rules ->> 'scale')::float8 * e.weight ORDER BY e.i) AS score
      FROM entries AS e
      JOIN weights AS w ON w.i = e.i
      GROUP BY e.document_no, e.ord
    ) AS s
    LEFT JOIN names AS n ON n.document_no = s.document_no
    ORDER BY score DESC, s.document_no, s.ord
    LIMIT (p_rules ->> 'depth')::int
  )
  SELECT row_number() OVER (ORDER BY b.score DESC, b.document_no, b.ord), c.chunk_id, c.document_id, c.language, b.score,
    (SELECT sum(w.weight ORDER BY w.i) FILTER (WHERE w.i = ANY (b.words)) / sum(w.weight ORDER BY w.i) FROM weights AS w), b.name
  FROM best AS b
  CROSS JOIN LATERAL (
    SELECT k.chunk_id, k.document_id, s.language
    FROM upload_pipeline.search_documents AS s
    JOIN upload_pipeline.documents AS d ON d.document_id = s.document_id
    JOIN upload_pipeline.document_chunks AS k
      ON k.document_id = s.document_id AND k.chunker_name = s.chunker_name AND k.chunker_version = s.chunker_version
    WHERE s.document_no = b.document_no AND k.chunk_ord = b.ord AND d.processing_status = 'complete'
    OFFSET 0
  ) AS c
$$;

-- The nearest passages by meaning: every vector of the user is compared. The documents p_named have their own nearest besides.
CREATE FUNCTION upload_pipeline.search_by_meaning(
  p_user      uuid,
  p_vector    real[],
  p_model     jsonb,
  p_documents uuid[], -- null: every document
  p_named     uuid[],
  p_lifts     jsonb,  -- of a language what its passages are lifted by
  p_depth     int
) RETURNS TABLE (place bigint, chunk_id uuid, document_id uuid, language text, score double precision, lift double precision)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET jit = off AS $$
#variable_conflict use_column
BEGIN
  -- The extension may be in any schema. The setting ends with the function.
  PERFORM set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname), true)
  FROM pg_extension AS e
  JOIN pg_namespace AS n ON n.oid = e.extnamespace
  WHERE e.extname = 'vector';
  RETURN QUERY
  WITH compared AS MATERIALIZED (
    SELECT c.chunk_id, c.document_id, coalesce(s.language, '') AS language,
      (1 - (e.embedding <=> p_vector::vector)) + coalesce((p_lifts ->> s.language)::float8, 0) AS score,
      coalesce((p_lifts ->> s.language)::float8, 0) AS lift
    FROM upload_pipeline.documents AS d
    JOIN upload_pipeline.document_chunks AS c ON c.document_id = d.document_id
    -- A vector lies in the row of its passage or beside it, as a change of model has left it.
    CROSS JOIN LATERAL (
      SELECT c.embedding
      WHERE c.embed_model = p_model ->> 'name' AND c.embed_version = p_model ->> 'version'
        AND c.vector_dim = cardinality(p_vector) AND c.embedding IS NOT NULL
      UNION ALL
      SELECT b.embedding
      FROM upload_pipeline.chunk_vectors AS b
      WHERE b.document_id = c.document_id AND b.chunk_sha = c.chunk_sha AND b.embed_model = p_model ->> 'name'
        AND b.embed_version = p_model ->> 'version' AND b.vector_dim = cardinality(p_vector)
      LIMIT 1
    ) AS e
    LEFT JOIN upload_pipeline.search_documents AS s ON s.document_id = d.document_id
    WHERE d.user_id = p_user AND d.processing_status = 'complete' AND (p_documents IS NULL OR d.document_id = ANY (p_documents))
  ),
  nearest AS MATERIALIZED (
    SELECT c.chunk_id, c.document_id, c.language, c.score, c.lift
    FROM compared AS c
    ORDER BY c.score DESC, c.chunk_id
    LIMIT p_depth
  ),
  of_named AS (
    SELECT c.chunk_id, c.document_id, c.language, c.score, c.lift
    FROM compared AS c
    WHERE c.document_id = ANY (p_named)
    ORDER BY c.score DESC, c.chunk_id
    LIMIT p_depth
  ),
  found AS (
    SELECT n.chunk_id, n.document_id, n.language, n.score, n.lift, 0 AS part
    FROM nearest AS n
    UNION ALL
    SELECT o.chunk_id, o.document_id, o.language, o.score, o.lift, 1
    FROM of_named AS o
    WHERE o.chunk_id NOT IN (SELECT n.chunk_id FROM nearest AS n)
  )
  SELECT row_number() OVER (ORDER BY f.score DESC, f.part, f.chunk_id), f.chunk_id, f.document_id, f.language, f.score, f.lift
  FROM found AS f;
END
$$;

-- Fuses both rankings by how far their best stand out, and says how sure each hit is.
CREATE FUNCTION upload_pipeline.search_ranked(
  p_user      uuid,
  p_user_no   int,
  p_terms     jsonb,
  p_vector    real[],
  p_documents uuid[]
) RETURNS TABLE (place bigint, chunk_id uuid, document_id uuid, score double precision, cosine double precision, covered double precision, vector_rank bigint, text_rank bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog SET jit = off AS $$
  WITH rules AS MATERIALIZED (
    SELECT r.depth, r.name_from, r.best_names, r.best_words, r.name, r.no_peak, r.least, r.words, r.covered_from, r.of_both,
      r.of_meaning, r.of_words,
      (p_terms ->> 'by_words')::boolean AS asks_words, p_vector IS NOT NULL AS asks_meaning,
      CASE WHEN (p_terms ->> 'by_words')::boolean THEN p_terms -> 'words' ELSE '[]' END AS asked,
      coalesce((p_terms -> 'model' ->> 'is_english')::boolean, false) AS is_english,
      (p_terms -> 'model' ->> 'unlike')::float8 AS unlike, (p_terms -> 'model' ->> 'alike')::float8 AS alike
    FROM jsonb_to_record(p_terms -> 'rules') AS r (
      depth int, name_from float8, best_names int, best_words int, name float8, no_peak float8, least float8, words float8,
      covered_from float8, of_both float8[], of_meaning float8[], of_words float8[])
  ),
  searched AS MATERIALIZED (
    SELECT CASE WHEN p_documents IS NOT NULL THEN coalesce(array_agg(s.document_no), '{}') END AS numbers, coalesce(sum(s.passages), 0) AS passages
    FROM upload_pipeline.search_documents AS s
    WHERE s.user_no = p_user_no AND (p_documents IS NULL OR s.document_id = ANY (p_documents))
  ),
  by_words AS MATERIALIZED (
    SELECT w.place, w.chunk_id, w.document_id, w.language, w.score, w.covered, w.name
    FROM rules AS r
    CROSS JOIN searched AS s
    CROSS JOIN LATERAL upload_pipeline.search_by_words(p_user_no, r.asked, s.numbers, p_terms -> 'rules') AS w
  ),
  -- Names that all documents share tell none apart.
  names AS MATERIALIZED (
    SELECT d.document_id, n.name
    FROM rules AS r
    CROSS JOIN searched AS s
    CROSS JOIN LATERAL upload_pipeline.search_names(p_user_no, r.asked, s.numbers) AS n
    JOIN upload_pipeline.search_documents AS d ON d.document_no = n.document_no
    WHERE r.asks_meaning AND n.name > r.name_from
    ORDER BY n.name DESC, n.document_no
    LIMIT (SELECT r.depth FROM rules AS r)
  ),
  named AS (
    SELECT coalesce(array_agg(n.document_id), '{}') AS documents
    FROM (
      SELECT n.document_id
      FROM names AS n
      WHERE p_documents IS NULL
      ORDER BY n.name DESC, n.document_id
      LIMIT (SELECT r.best_names FROM rules AS r)
    ) AS n
  ),
  by_meaning AS MATERIALIZED (
    SELECT m.place, m.chunk_id, m.document_id, m.language, m.score, m.lift
    FROM rules AS r
    CROSS JOIN named AS n
    CROSS JOIN LATERAL upload_pipeline.search_by_meaning(p_user, p_vector, p_terms -> 'model', p_documents, n.documents, p_terms -> 'lifts', r.depth) AS m
    WHERE r.asks_meaning
  ),
  -- The language of most of the best passages by words; of equals, that which comes last.
  main_language AS (
    SELECT w.language
    FROM by_words AS w
    CROSS JOIN rules AS r
    WHERE w.place <= r.best_words
    GROUP BY w.language
    ORDER BY count(*) DESC, max(w.place) DESC
    LIMIT 1
  ),
  known AS (
    SELECT 2 * count(*) FILTER (WHERE w.language = 'en' OR NOT r.is_english) >= count(*) AS is_known
    FROM by_words AS w
    CROSS JOIN rules AS r
    WHERE w.place <= r.best_words
  ),
  -- Of words, passages that were not found count as zeros.
  meaning_mean AS (
    SELECT count(*)::float8 AS n, coalesce(sum(m.score ORDER BY m.place), 0) / greatest(count(*), 1) AS mean
    FROM by_meaning AS m
  ),
  meaning_spread AS (
    SELECT a.n, a.mean, sqrt(coalesce(sum((m.score - a.mean) * (m.score - a.mean) ORDER BY m.place), 0) / greatest(a.n, 1)) AS deviation,
      max(m.score) AS best, min(m.score) AS worst
    FROM meaning_mean AS a
    LEFT JOIN by_meaning AS m ON true
    GROUP BY a.n, a.mean
  ),
  words_mean AS (
    SELECT count(w.place) AS found, greatest(count(w.place), least(r.depth, s.passages), 1)::float8 AS n,
      coalesce(sum(w.score ORDER BY w.place), 0) / greatest(count(w.place), least(r.depth, s.passages), 1)::float8 AS mean
    FROM rules AS r
    CROSS JOIN searched AS s
    LEFT JOIN by_words AS w ON true
    GROUP BY r.depth, s.passages
  ),
  words_spread AS (
    SELECT a.n, a.mean,
      sqrt((coalesce(sum((w.score - a.mean) * (w.score - a.mean) ORDER BY w.place), 0) + (a.n - a.found) * (a.mean * a.mean)) / a.n) AS deviation,
      max(w.score) AS best, CASE WHEN a.n > a.found THEN 0 ELSE min(w.score) END AS worst, max(w.covered) AS gate
    FROM words_mean AS a
    LEFT JOIN by_words AS w ON true
    GROUP BY a.found, a.n, a.mean
  ),
  standards AS MATERIALIZED (
    SELECT m.n > 0 AS has_meaning, w.best IS NOT NULL AS has_words, coalesce(w.gate, 0) AS gate,
      m.mean AS m_mean, m.deviation AS m_deviation, w.mean AS w_mean, w.deviation AS w_deviation,
      CASE WHEN m.deviation > 1e-9 THEN (m.worst - m.mean) / m.deviation ELSE 0 END AS m_least,
      CASE WHEN m.deviation > 1e-9 THEN greatest((m.best - m.mean) / m.deviation, 0) ELSE 0 END AS m_peak,
      CASE WHEN w.best IS NOT NULL AND w.deviation > 1e-9 THEN (w.worst - w.mean) / w.deviation ELSE 0 END AS w_least,
      CASE WHEN w.best IS NOT NULL AND w.deviation > 1e-9 THEN greatest((w.best - w.mean) / w.deviation, 0) ELSE 0 END AS w_peak
    FROM meaning_spread AS m
    CROSS JOIN words_spread AS w
  ),
  says AS MATERIALIZED (
    SELECT
      CASE
        WHEN NOT (s.has_meaning AND s.has_words) THEN 1
        WHEN NOT k.is_known AND s.gate >= r.covered_from THEN r.least
        ELSE greatest(s.m_peak - r.no_peak, r.least)
      END AS of_meaning,
      CASE
        WHEN NOT (s.has_meaning AND s.has_words) THEN 1
        WHEN NOT k.is_known AND s.gate >= r.covered_from THEN greatest(s.w_peak - r.no_peak, r.least)
        ELSE r.words * s.gate * greatest(s.w_peak - r.no_peak, r.least)
      END AS of_words
    FROM standards AS s
    CROSS JOIN rules AS r
    CROSS JOIN known AS k
  ),
  merged AS (
    SELECT coalesce(m.chunk_id, w.chunk_id) AS chunk_id, coalesce(m.document_id, w.document_id) AS document_id,
      m.place AS vector_rank, w.place AS text_rank, m.score - m.lift AS cosine, w.covered, w.score AS text_score,
      coalesce(m.lift, 0) AS lift,
      coalesce(m.lift > 0 AND m.language <> (SELECT l.language FROM main_language AS l), false) AS is_foreign,
      coalesce(w.name, n.name, 0) AS name
    FROM by_meaning AS m
    FULL JOIN by_words AS w ON w.chunk_id = m.chunk_id
    LEFT JOIN names AS n ON n.document_id = m.document_id
  ),
  placed AS (
    SELECT g.*, z.meaning AS z_meaning,
      CASE
        WHEN g.text_score IS NOT NULL THEN CASE WHEN s.w_deviation > 1e-9 THEN (g.text_score - s.w_mean) / s.w_deviation ELSE 0 END
        WHEN g.is_foreign THEN least(z.meaning, s.w_peak)
        ELSE s.w_least
      END AS z_words
    FROM merged AS g
    CROSS JOIN standards AS s
    CROSS JOIN LATERAL (
      SELECT CASE
        WHEN g.cosine IS NULL THEN s.m_least
        WHEN s.m_deviation > 1e-9 THEN (g.cosine + g.lift - s.m_mean) / s.m_deviation
        ELSE 0
      END AS meaning
    ) AS z
  ),
  judged AS (
    SELECT p.chunk_id, p.document_id, p.cosine, p.covered, p.vector_rank, p.text_rank,
      row_number() OVER (ORDER BY
        y.of_meaning * (p.z_meaning + CASE WHEN s.has_meaning THEN r.name * p.name ELSE 0 END) + y.of_words * p.z_words DESC,
        p.vector_rank, p.text_rank) AS place,
      CASE
        WHEN u.meaning IS NOT NULL AND p.covered IS NULL AND (NOT r.asks_words OR p.is_foreign) THEN r.of_meaning[1] * u.meaning + r.of_meaning[2]
        WHEN u.meaning IS NOT NULL THEN r.of_both[1] * u.meaning + r.of_both[2] * coalesce(p.covered, 0) + r.of_both[3]
        WHEN p.cosine IS NOT NULL THEN greatest(r.of_words[1] * p.covered + r.of_words[2], 0)
        ELSE r.of_words[1] * p.covered + r.of_words[2]
      END AS logit
    FROM placed AS p
    CROSS JOIN standards AS s
    CROSS JOIN says AS y
    CROSS JOIN rules AS r
    CROSS JOIN LATERAL (
      SELECT CASE WHEN p.cosine IS NOT NULL THEN least(greatest((p.cosine + p.lift - r.unlike) / (r.alike - r.unlike), -0.5), 1.5) END AS meaning
    ) AS u
  )
  SELECT j.place, j.chunk_id, j.document_id, min(coalesce(1 / (1 + exp(-j.logit)), 0.5)) OVER (ORDER BY j.place), j.cosine, j.covered,
    j.vector_rank, j.text_rank
  FROM judged AS j
$$;

-- The hits of a question whose terms, and vector, `POST /search/terms` has given.
CREATE FUNCTION upload_pipeline.search(
  terms        jsonb,                          -- from POST /search/terms, unchanged
  vector       real[]           DEFAULT NULL,  -- from there too; null where there is none
  documents    uuid[]           DEFAULT NULL,  -- only in these documents
  hits         int              DEFAULT 10,    -- at most so many, 1 to 50
  min_score    double precision DEFAULT NULL,  -- the least score of a hit; null: any, but nothing where even the best is doubtful
  per_document int              DEFAULT NULL   -- the most hits of one document
) RETURNS TABLE (
  place int, document_id uuid, filename text, chunk_id uuid, ord int, heading text, page_first int, page_last int, page_label text,
  text text, score double precision, cosine double precision, covered double precision, vector_rank int, text_rank int)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET jit = off AS $$
#variable_conflict use_column
DECLARE
  v_caller  uuid := upload_pipeline.search_caller();
  v_user_no int;
  v_filled  boolean;
  v_chosen  uuid[];
BEGIN
  IF search.terms ->> 'format' IS DISTINCT FROM '1' THEN
    RAISE EXCEPTION 'these are no terms that this function takes' USING ERRCODE = 'invalid_parameter_value',
      HINT = 'Send `terms` as POST /search/terms gave them, to the function that its answer names.';
  END IF;
  IF (search.terms -> 'model' IS DISTINCT FROM 'null'::jsonb) <> (search.vector IS NOT NULL) THEN
    RAISE EXCEPTION 'terms and vector do not belong together' USING ERRCODE = 'invalid_parameter_value',
      HINT = 'Send both as one answer of POST /search/terms has them.';
  END IF;
  IF search.vector IS NOT NULL AND NOT EXISTS (
    SELECT
    FROM upload_pipeline.active_model AS a
    WHERE a.model = search.terms -> 'model' ->> 'name' AND a.version = search.terms -> 'model' ->> 'version'
      AND a.vector_dim = cardinality(search.vector)) THEN
    RAISE EXCEPTION 'the vector is of another model than the documents' USING ERRCODE = 'invalid_parameter_value',
      HINT = 'Ask POST /search/terms again; its service must use the model of this database.';
  END IF;
  IF NOT coalesce(search.hits BETWEEN 1 AND 50 AND coalesce(search.min_score BETWEEN 0 AND 1, true)
    AND coalesce(search.per_document >= 1, true), false) THEN
    RAISE EXCEPTION 'hits must be from 1 to 50, min_score from 0 to 1, per_document from 1' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT u.user_no, u.is_filled
  INTO v_user_no, v_filled
  FROM upload_pipeline.search_users AS u
  WHERE u.user_id = v_caller;
  IF v_filled IS NOT TRUE THEN
    IF EXISTS (SELECT FROM upload_pipeline.documents AS d WHERE d.user_id = v_caller AND d.processing_status = 'complete') THEN
      RAISE EXCEPTION 'not all of your documents are in the index yet' USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = 'Search with POST /search until housekeeping has filled the index; `app check` says how many documents are left.';
    END IF;
    RETURN;
  END IF;
  IF search.documents IS NOT NULL OR search.terms -> 'filenames' <> '[]' THEN
    SELECT coalesce(array_agg(d.document_id), '{}')
    INTO v_chosen
    FROM upload_pipeline.documents AS d
    WHERE d.user_id = v_caller AND d.processing_status = 'complete'
      AND (search.documents IS NULL OR d.document_id = ANY (search.documents))
      AND NOT EXISTS (
        SELECT
        FROM jsonb_array_elements_text(search.terms -> 'filenames') AS p (part)
        WHERE strpos(lower(d.filename), lower(p.part)) = 0);
  END IF;
  RETURN QUERY
  WITH ranked AS MATERIALIZED (
    SELECT r.*
    FROM upload_pipeline.search_ranked(v_caller, v_user_no, search.terms, search.vector, v_chosen) AS r
  ),
  kept AS (
    SELECT r.*, row_number() OVER (PARTITION BY r.document_id ORDER BY r.place) AS of_document
    FROM ranked AS r
    WHERE r.score >= coalesce(search.min_score, 0)
      AND (search.min_score IS NOT NULL
        OR (SELECT max(best.score) FROM ranked AS best) >= (search.terms -> 'rules' ->> 'nothing_below')::float8)
  )
  SELECT (row_number() OVER (ORDER BY k.place))::int, k.document_id, d.filename, k.chunk_id, c.chunk_ord, c.heading, c.page_first,
    c.page_last, c.page_label, c.text, k.score, k.cosine, k.covered, k.vector_rank::int, k.text_rank::int
  FROM kept AS k
  JOIN upload_pipeline.document_chunks AS c ON c.chunk_id = k.chunk_id
  JOIN upload_pipeline.documents AS d ON d.document_id = k.document_id
  WHERE search.per_document IS NULL OR k.of_document <= search.per_document
  ORDER BY k.place
  LIMIT search.hits;
END
$$;

-- The number of a word in the index: FNV-1a of 64 bits, folded to 32. Two halves of 32 bits are reckoned with.
CREATE FUNCTION upload_pipeline.search_term(p_word text) RETURNS int
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
DECLARE
  v_bytes bytea  := convert_to(p_word, 'UTF8');
  v_high  bigint := 3421674724;
  v_low   bigint := 2216829733;
  v_next  bigint;
BEGIN
  FOR i IN 0 .. length(v_bytes) - 1 LOOP
    v_low := v_low # get_byte(v_bytes, i);
    -- Times 2^40 + 435.
    v_next := v_low * 435;
    v_high := (v_high * 435 + (v_next >> 32) + (v_low << 8)) & 4294967295;
    v_low := v_next & 4294967295;
  END LOOP;
  v_next := v_high # v_low;
  RETURN CASE WHEN v_next > 2147483647 THEN v_next - 4294967296 ELSE v_next END;
END
$$;

-- The hits of a question by words alone, where the service is not asked: its words are cut and put into their base form by
-- PostgreSQL, for a language that it can stem. What the service knows beyond that is missing: see docs/operations.md.
CREATE FUNCTION upload_pipeline.search(
  query        text,
  language     text             DEFAULT 'english',
  documents    uuid[]           DEFAULT NULL,
  hits         int              DEFAULT 10,
  min_score    double precision DEFAULT NULL,
  per_document int              DEFAULT NULL
) RETURNS TABLE (
  place int, document_id uuid, filename text, chunk_id uuid, ord int, heading text, page_first int, page_last int, page_label text,
  text text, score double precision, cosine double precision, covered double precision, vector_rank int, text_rank int)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET jit = off AS $$
#variable_conflict use_column
DECLARE
  v_stemmer regdictionary;
  v_words   jsonb;
BEGIN
  SELECT d.oid
  INTO v_stemmer
  FROM pg_ts_dict AS d
  WHERE d.dictname = search.language || '_stem' AND d.dictnamespace = 'pg_catalog'::regnamespace;
  IF v_stemmer IS NULL THEN
    RAISE EXCEPTION 'PostgreSQL has no base forms of words in this language' USING ERRCODE = 'invalid_parameter_value',
      HINT = 'Name the language as the dictionaries do (\dFd *_stem), for example english or german; for others take the terms from POST /search/terms.';
  END IF;
  IF length(search.query) > 1000 THEN
    RAISE EXCEPTION 'the query is longer than 1000 characters' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  WITH cut AS (
    SELECT w.word, min(w.i) AS i
    FROM regexp_split_to_table(lower(search.query), '[^[:alnum:]]+') WITH ORDINALITY AS w (word, i)
    WHERE w.word <> ''
    GROUP BY w.word
  ),
  -- The base form of a function word is an empty array.
  stemmed AS (
    SELECT c.i, c.word, ts_lexize(v_stemmer, c.word) AS stems
    FROM cut AS c
  ),
  telling AS (
    SELECT s.i, s.word, s.stems
    FROM stemmed AS s
    WHERE s.stems <> '{}' OR NOT EXISTS (SELECT FROM stemmed AS other WHERE other.stems <> '{}')
    ORDER BY s.i
    LIMIT 64
  ),
  -- As the index has them: without accents, the word itself and its base form.
  forms AS (
    SELECT DISTINCT t.i, upload_pipeline.search_term(
      replace(normalize(regexp_replace(normalize(f.form, NFKD), '[\u0300-\u036f]', '', 'g'), NFC), 'ß', 'ss')) AS term
    FROM telling AS t
    CROSS JOIN LATERAL unnest(t.stems || t.word) AS f (form)
  )
  SELECT coalesce(jsonb_agg(w.terms ORDER BY w.i), '[]')
  INTO v_words
  FROM (SELECT f.i, jsonb_agg(f.term) AS terms FROM forms AS f GROUP BY f.i) AS w;
  RETURN QUERY
  SELECT s.*
  FROM upload_pipeline.search(
    jsonb_build_object('format', 1, 'by_words', true, 'words', v_words, 'filenames', '[]'::jsonb, 'model', NULL, 'lifts', '{}'::jsonb,
      'rules', '{"depth": 100, "scale": 0.008627450980392158, "title": 2, "name_from": 0.5, "best_names": 5, "best_words": 10, "name": 0.8,
        "no_peak": 2, "least": 0.05, "words": 1.5, "covered_from": 0.35, "of_both": [4.2, 5.6, -2.6], "of_meaning": [5, -0.6],
        "of_words": [8, -0.8], "nothing_below": 0.5}'::jsonb),
    NULL, search.documents, search.hits, search.min_score, search.per_document) AS s;
END
$$;

COMMENT ON FUNCTION upload_pipeline.search_caller IS 'The user that request.jwt.claims names.';
COMMENT ON FUNCTION upload_pipeline.search_weight IS 'The weight of a word (idf).';
COMMENT ON FUNCTION upload_pipeline.search_names IS 'Documents whose name has words of a question.';
COMMENT ON FUNCTION upload_pipeline.search_by_words IS 'The best passages by words (BM25).';
COMMENT ON FUNCTION upload_pipeline.search_by_meaning IS 'The nearest passages by meaning.';
COMMENT ON FUNCTION upload_pipeline.search_ranked IS 'Both rankings, fused.';
COMMENT ON FUNCTION upload_pipeline.search(jsonb, real[], uuid[], int, double precision, int) IS 'The hits of a question; terms and vector come from POST /search/terms.';
COMMENT ON FUNCTION upload_pipeline.search_term IS 'The number of a word in the index on words.';
COMMENT ON FUNCTION upload_pipeline.search(text, text, uuid[], int, double precision, int) IS 'The hits of a question by words alone, cut and stemmed by PostgreSQL.';
