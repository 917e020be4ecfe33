-- What the database does by itself when jobs are written by other programs or deleted, and a job's way as calls. It can be run
-- over a database that has it: builds before 0.1.0 are carried over by this file and those behind it.

-- Another program's INSERT names no user; the document knows it. Where there is no document, the row gets a user that is none, so
-- that a CHECK constraint that it violates speaks first and the foreign key after it.
CREATE OR REPLACE FUNCTION upload_pipeline.fill_job_user() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  NEW.user_id := coalesce(
    (SELECT d.user_id FROM upload_pipeline.documents AS d WHERE d.document_id = NEW.document_id),
    '00000000-0000-0000-0000-000000000000');
  RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER tr_upload_jobs_fill_user BEFORE INSERT ON upload_pipeline.upload_jobs
  FOR EACH ROW WHEN (NEW.user_id IS NULL) EXECUTE FUNCTION upload_pipeline.fill_job_user();

-- Another program's INSERT wakes the workers at once. The API's own rows (enqueued_by is set) do not notify here: NOTIFY
-- takes one lock for all committing sessions, so the API sends one for many, after its commits.
CREATE OR REPLACE FUNCTION upload_pipeline.notify_foreign_job() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  PERFORM pg_notify('upload_jobs', '');
  RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER tr_upload_jobs_notify AFTER INSERT ON upload_pipeline.upload_jobs
  FOR EACH ROW WHEN (NEW.enqueued_by IS NULL) EXECUTE FUNCTION upload_pipeline.notify_foreign_job();

-- Events go with their job, by one statement for however many jobs are deleted, whichever program deletes them.
CREATE OR REPLACE FUNCTION upload_pipeline.delete_events_of_jobs() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  DELETE FROM upload_pipeline.events AS e USING gone AS g WHERE e.job_id = g.job_id;
  RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER tr_upload_jobs_delete_events AFTER DELETE ON upload_pipeline.upload_jobs
  REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION upload_pipeline.delete_events_of_jobs();

-- A job's way as calls. An unnamed statement is planned each time that it is sent, which costs more than all that these write;
-- the plans of a function are kept by the session, also behind a pooler. Generic plans, by name, because the server would plan
-- again for each array that is shorter than it guesses; no sequential scans, since a plan made while a table is empty is kept.
-- `state || '' = 'working'`: the plain comparison would let the planner take the index of running jobs instead of the primary
-- key, and after an ANALYZE in a quiet moment it believes that one to be empty.

-- What builds before 0.1.0 called.
DROP FUNCTION IF EXISTS upload_pipeline.pick_jobs, upload_pipeline.claim_jobs, upload_pipeline.claim_jobs_from,
  upload_pipeline.advance_job, upload_pipeline.complete_jobs, upload_pipeline.enqueue_jobs;

-- New jobs, however many at once. Does not wake the workers.
CREATE FUNCTION upload_pipeline.enqueue_jobs(
  p_jobs           uuid[],
  p_documents      uuid[],
  p_users          uuid[],
  p_statuses       text[],             -- the checkpoints to begin at
  p_progress       jsonb[],
  p_delays         double precision[], -- seconds before a worker first looks
  p_upload_expires timestamptz[],      -- until when the bytes may still come; null: they are there
  p_correlations   uuid[],
  p_events         jsonb[]             -- what the first event tells; null: there is none
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  INSERT INTO upload_pipeline.upload_jobs
    (job_id, document_id, user_id, status, state, progress, run_at, upload_expires_at, enqueued_by, correlation_id)
  SELECT n.job_id, n.document_id, n.user_id, n.status, 'queued', n.progress, now() + n.delay * interval '1 second',
    n.upload_expires_at, 'api', n.correlation_id
  FROM unnest(p_jobs, p_documents, p_users, p_statuses, p_progress, p_delays, p_upload_expires, p_correlations)
    AS n (job_id, document_id, user_id, status, progress, delay, upload_expires_at, correlation_id);
  IF cardinality(array_remove(p_events, NULL)) > 0 THEN
    INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
    SELECT n.job_id, n.document_id, 'enqueued', 'info', n.status, n.event, n.correlation_id
    FROM unnest(p_jobs, p_documents, p_statuses, p_events, p_correlations)
      AS n (job_id, document_id, status, event, correlation_id)
    WHERE n.event IS NOT NULL;
  END IF;
END
$$;
COMMENT ON FUNCTION upload_pipeline.enqueue_jobs IS 'Adds jobs with their first events; does not wake the workers.';

-- Takes up to p_slots jobs for a worker: writes owner, lease and epoch, and notes that their steps begin.
-- Lowest priority number first. Within it users take turns from behind the one served last, each with an even share and no more
-- running jobs than the bound. It hops along ix_upload_jobs_claim from user to user, so it costs the users that wait, not their
-- rows. It may take fewer than wait: ask again until it takes none.
-- While a snapshot is held open somewhere, entries of jobs that were claimed since stay in the index and are passed over one by
-- one; the hop finds where a user's live entries begin, and nothing after it reads below that.
CREATE FUNCTION upload_pipeline.claim_jobs(
  p_worker       uuid,             -- who claims
  p_slots        int,              -- jobs wanted
  p_max_per_user int,              -- running jobs a user may have; 0: no bound
  p_after        uuid,             -- the user served last
  p_statuses     text[],           -- what this build knows how to run
  p_steps        text[],           -- the step that each of these begins
  p_alone_from   int,              -- jobs in whose steps workers died this often run alone: not taken here
  p_lease        double precision, -- seconds
  p_now          timestamptz
) RETURNS TABLE (
  job_id uuid, document_id uuid, user_id uuid, lease_epoch bigint, status text, retry_count int, correlation_id uuid)
LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  v_first    record;            -- the first waiting job of a priority
  v_priority int := -32769;     -- below every smallint
  v_user     uuid;
  v_due      timestamptz;       -- when the user's first waiting job is due
  v_lap      int;
  v_room     int;               -- jobs that the user may still have running
  v_users    uuid[];            -- whose turn it is, in order
  v_dues     timestamptz[];
  v_rooms    int[];
  v_picked   tid[];
BEGIN
  LOOP
    SELECT j.priority, j.user_id, j.run_at INTO v_first
    FROM upload_pipeline.upload_jobs AS j
    WHERE j.state IN ('queued', 'retryable') AND j.priority > v_priority
    ORDER BY j.priority, j.user_id, j.run_at
    LIMIT 1;
    EXIT WHEN NOT FOUND;
    v_priority := v_first.priority;
    v_users := '{}';
    v_dues := '{}';
    v_rooms := '{}';
    -- First lap: the users behind the one served last. Second lap: from the first user to that one.
    v_lap := 1;
    v_user := p_after;
    WHILE cardinality(v_users) < p_slots LOOP
      SELECT j.user_id, j.run_at INTO v_user, v_due
      FROM upload_pipeline.upload_jobs AS j
      WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id > v_user
      ORDER BY j.user_id, j.run_at
      LIMIT 1;
      IF NOT FOUND THEN
        EXIT WHEN v_lap = 2;
        v_lap := 2;
        v_user := v_first.user_id;
        v_due := v_first.run_at;
      END IF;
      EXIT WHEN v_lap = 2 AND v_user > p_after;
      v_room := p_slots;
      IF p_max_per_user > 0 THEN
        SELECT p_max_per_user - count(*) INTO v_room
        FROM upload_pipeline.upload_jobs AS j
        WHERE j.state = 'working' AND j.user_id = v_user;
      END IF;
      IF v_room > 0 AND EXISTS (
        SELECT FROM upload_pipeline.upload_jobs AS j
        WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id = v_user
          AND j.run_at BETWEEN v_due AND p_now AND j.status = ANY (p_statuses) AND j.crash_count < p_alone_from
      ) THEN
        v_users := v_users || v_user;
        v_dues := v_dues || v_due;
        v_rooms := v_rooms || v_room;
      END IF;
    END LOOP;

    v_picked := ARRAY(
      SELECT job.at
      FROM unnest(v_users, v_dues, v_rooms) AS turn (user_id, due, room)
      CROSS JOIN LATERAL (
        SELECT j.ctid AS at
        FROM upload_pipeline.upload_jobs AS j
        WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id = turn.user_id
          AND j.run_at BETWEEN turn.due AND p_now AND j.status = ANY (p_statuses) AND j.crash_count < p_alone_from
        ORDER BY j.run_at, j.job_id
        LIMIT least(turn.room, ceil(p_slots::numeric / cardinality(v_users)))
        FOR UPDATE SKIP LOCKED
      ) AS job
      LIMIT p_slots);
    EXIT WHEN cardinality(v_picked) > 0;
  END LOOP;

  -- The rows are locked, so they stay where they are until this transaction ends.
  RETURN QUERY
  WITH taken AS (
    UPDATE upload_pipeline.upload_jobs AS j
    SET state = 'working', claimed_by = p_worker, claimed_at = p_now, lease_expires_at = p_now + p_lease * interval '1 second',
        lease_epoch = j.lease_epoch + 1, step_started_at = p_now, started_at = coalesce(j.started_at, p_now), updated_at = p_now
    WHERE j.ctid = ANY (v_picked)
    RETURNING j.job_id, j.document_id, j.user_id, j.lease_epoch, j.status, j.retry_count, j.correlation_id
  ),
  started AS (
    INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, correlation_id)
    SELECT t.job_id, t.document_id, 'stage_started', 'info', p_steps[array_position(p_statuses, t.status)], t.correlation_id
    FROM taken AS t
  )
  SELECT t.* FROM taken AS t;
END
$$;
COMMENT ON FUNCTION upload_pipeline.claim_jobs IS 'Takes claimable jobs for a worker, fair across users within a priority.';

-- The next checkpoint, and the step after it begins. It goes forward only: a statement that was held up on its way, and whose
-- run the worker has given up, does not take a later one back. Whether it was written; false: the lease is lost.
CREATE FUNCTION upload_pipeline.advance_job(
  p_job      uuid,
  p_worker   uuid,
  p_epoch    bigint,  -- with the worker, the fence
  p_from     text[],  -- the statuses that the step began at
  p_to       text,    -- the checkpoint
  p_progress jsonb,   -- merged into the job's counts
  p_done     jsonb,   -- what the event tells of the step
  p_next     text     -- the step that begins
) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  v_document    uuid;
  v_correlation uuid;
BEGIN
  UPDATE upload_pipeline.upload_jobs AS j
  SET status = p_to, progress = j.progress || p_progress, retry_count = 0, crash_count = 0, step_started_at = now(), updated_at = now()
  WHERE j.job_id = p_job AND j.claimed_by = p_worker AND j.lease_epoch = p_epoch AND j.state || '' = 'working'
    AND j.status = ANY (p_from)
  RETURNING j.document_id, j.correlation_id INTO v_document, v_correlation;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  UPDATE upload_pipeline.documents AS d
  SET processing_status = p_to, updated_at = now()
  WHERE d.document_id = v_document;
  INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
  SELECT p_job, v_document, what.type, 'info', what.code, what.payload, v_correlation
  FROM (VALUES ('stage_done', p_to, p_done), ('stage_started', p_next, NULL)) AS what (type, code, payload)
  WHERE what.code IS NOT NULL;
  RETURN true;
END
$$;
COMMENT ON FUNCTION upload_pipeline.advance_job IS 'Writes the next checkpoint of a job in hand; false: the lease is lost.';

-- Ends those jobs of a worker whose documents have a vector of the active model for every chunk. A row for each that ended,
-- and one for each document with what was counted.
CREATE FUNCTION upload_pipeline.complete_jobs(
  p_worker    uuid,
  p_jobs      uuid[],
  p_epochs    bigint[],  -- with the worker, the fences
  p_took      bigint[],  -- milliseconds of the last steps
  p_documents uuid[],    -- the job's, each
  p_model     text,
  p_version   text,
  p_dim       int
) RETURNS TABLE (job_id uuid, document_id uuid, chunks bigint, embedded bigint)
LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  -- One look for each job: any other way to put the two together could be kept as a scan of all chunks.
  WITH counted AS MATERIALIZED (
    SELECT e.job_id, e.lease_epoch, e.took, e.document_id, n.chunks, n.embedded
    FROM unnest(p_jobs, p_epochs, p_took, p_documents) AS e (job_id, lease_epoch, took, document_id)
    CROSS JOIN LATERAL (
      SELECT count(*) AS chunks,
        count(*) FILTER (WHERE c.embedding IS NOT NULL AND c.embed_model = p_model AND c.embed_version = p_version
          AND c.vector_dim = p_dim) AS embedded
      FROM upload_pipeline.document_chunks AS c
      WHERE c.document_id = e.document_id
    ) AS n
  ),
  -- Jobs are to be found by their ids, not by documents, which may have had many: nothing else here fits an index.
  ended AS MATERIALIZED (
    SELECT n.job_id, n.lease_epoch, n.took, n.document_id, n.chunks, n.embedded
    FROM counted AS n
    WHERE n.chunks > 0 AND n.embedded = n.chunks
  ),
  job AS (
    UPDATE upload_pipeline.upload_jobs AS j
    SET status = 'complete', state = 'done', retry_count = 0, claimed_by = NULL, lease_expires_at = NULL,
        step_started_at = NULL, finished_at = now(), updated_at = now(),
        progress = j.progress || jsonb_build_object('chunks', e.chunks, 'embedded', e.embedded)
    FROM ended AS e
    WHERE j.job_id = e.job_id AND j.claimed_by = p_worker AND j.lease_epoch = e.lease_epoch
      AND j.state || '' = 'working' AND (j.document_id = e.document_id) IS TRUE
    RETURNING j.job_id, j.document_id, j.correlation_id, e.took
  ),
  document AS (
    UPDATE upload_pipeline.documents AS d
    SET processing_status = 'complete', updated_at = now()
    FROM (SELECT DISTINCT job.document_id FROM job) AS of_job
    WHERE d.document_id = of_job.document_id AND d.processing_status IS DISTINCT FROM 'complete'
  ),
  event AS (
    INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
    SELECT job.job_id, job.document_id, 'finalized', 'info', 'complete', jsonb_build_object('duration_ms', job.took),
      job.correlation_id
    FROM job
  )
  SELECT job.job_id, NULL::uuid, 0::bigint, 0::bigint
  FROM job
  UNION ALL
  SELECT DISTINCT NULL::uuid, n.document_id, n.chunks, n.embedded
  FROM counted AS n;
END
$$;
COMMENT ON FUNCTION upload_pipeline.complete_jobs IS 'Ends the jobs of a worker whose documents are embedded whole; a row for each job ended, one for each document counted.';
