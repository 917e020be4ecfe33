-- A job's way as calls: an unnamed statement is planned anew each time that it is sent, which cost more than all that these
-- write. The plans of a function are kept by the session, also behind a pooler: generic ones, by name, because the server would
-- plan for each array anew that is shorter than it guesses. Sequential scans are off, since a plan made while a table is empty
-- is kept as well.

-- The next checkpoint, and the step after it begins. It goes forward only: a statement that was held up on its way, and whose
-- run the worker has given up, does not take a later one back. Whether it was written; false: the lease is lost.
CREATE FUNCTION upload_pipeline.advance_job(
  p_job      uuid,
  p_worker   uuid,
  p_epoch    bigint,  -- with the worker, the fence
  p_from     text[],  -- the statuses that the step began at
  p_to       text,    -- the checkpoint
  p_progress jsonb,   -- merged into the job's counts
  p_done     jsonb,   -- what the event tells of the step; null: no event is written
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
  IF p_done IS NOT NULL THEN
    INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, payload, correlation_id)
    SELECT p_job, v_document, what.type, 'info', what.code, what.payload, v_correlation
    FROM (VALUES ('stage_done', p_to, p_done), ('stage_started', p_next, NULL)) AS what (type, code, payload)
    WHERE what.code IS NOT NULL;
  END IF;
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
  p_dim       int,
  p_timeline  boolean    -- whether events are written
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
    WHERE p_timeline
  )
  SELECT job.job_id, NULL::uuid, 0::bigint, 0::bigint
  FROM job
  UNION ALL
  SELECT DISTINCT NULL::uuid, n.document_id, n.chunks, n.embedded
  FROM counted AS n;
END
$$;
COMMENT ON FUNCTION upload_pipeline.complete_jobs IS 'Ends the jobs of a worker whose documents are embedded whole; a row for each job ended, one for each document counted.';

-- The claim, with a memory. While a snapshot is held open somewhere (a backup, a forgotten session), no index entry of a job
-- that was claimed can go, and each claim read those of all the claims before it: its price grew with what was done since. A
-- worker now says from where on to look, for each user that it has just served; it forgets that every second, and looks
-- everywhere whenever that finds less than it has room for. What was committed late, below, waits for that look and no longer.
CREATE FUNCTION upload_pipeline.claim_jobs_from(
  p_worker       uuid,             -- who claims
  p_slots        int,              -- jobs wanted
  p_max_per_user int,              -- running jobs a user may have; 0: no bound
  p_after        uuid,             -- the user served last; the turn goes on behind it
  p_statuses     text[],           -- what this build knows how to run
  p_steps        text[],           -- the step that each of these begins; null: no event is written of it
  p_max_crashes  int,              -- jobs that were taken over in a step this often run alone: not taken here
  p_lease        double precision, -- seconds
  p_now          timestamptz,
  p_priority     smallint,         -- the priority of the floors; null: there are none
  p_floor_users  uuid[],           -- users, ascending, of whom earlier claims took what was due first,
  p_floors       timestamptz[]     -- and up to when: what was due before is not looked at
) RETURNS TABLE (
  job_id uuid, document_id uuid, user_id uuid, lease_epoch bigint, status text, retry_count int, progress jsonb,
  upload_expires_at timestamptz, enqueued_by text, correlation_id uuid, priority smallint, run_at timestamptz, served_last uuid)
LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  c_first    CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
  c_last     CONSTANT uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
  v_priority smallint;
  v_user     uuid;
  v_next     uuid;
  v_at       int;
  v_floor    timestamptz;
  v_users    uuid[];
  v_lows     timestamptz[];
  v_rooms    int[];
  v_room     int;
  v_left     int;
  v_share    int;
  v_picked   tid[] := '{}';
  v_new      tid[];
  v_second   boolean;
  v_waiting  boolean;
  v_last     uuid := p_after;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  -- A least value can be read from the claim's index only; whether one EXISTS, a kept plan would look for in any.
  SELECT min(j.priority) INTO v_priority
  FROM upload_pipeline.upload_jobs AS j
  WHERE j.state IN ('queued', 'retryable') AND j.priority < p_priority;
  IF p_priority IS NOT NULL AND v_priority IS NULL THEN
    v_priority := p_priority;
  ELSE
    p_floor_users := '{}';
    SELECT min(j.priority) INTO v_priority FROM upload_pipeline.upload_jobs AS j WHERE j.state IN ('queued', 'retryable');
  END IF;
  v_waiting := v_priority IS NOT NULL;
  WHILE v_priority IS NOT NULL AND cardinality(v_picked) < p_slots LOOP
    v_left := p_slots - cardinality(v_picked);
    -- The ring of users that have work in this priority: those behind p_after, then the others.
    v_users := '{}';
    v_rooms := '{}';
    v_lows := '{}';
    v_second := false;
    v_user := p_after;
    LOOP
      -- The next user who has work; of one with a floor only what is above it says so. A plan for any user must begin behind
      -- him in the index and not read past his rows, hence two bounds that are always there and no OR.
      v_next := p_floor_users[coalesce(width_bucket(v_user, p_floor_users), 0) + 1];
      SELECT j.user_id INTO v_user
      FROM upload_pipeline.upload_jobs AS j
      WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority
        AND (j.user_id, j.run_at) > (coalesce(v_user, c_first), CASE WHEN v_user IS NULL THEN '-infinity' ELSE 'infinity' END::timestamptz)
        AND (j.user_id, j.run_at) < (coalesce(v_next, c_last), CASE WHEN v_next IS NULL THEN 'infinity' ELSE '-infinity' END::timestamptz)
      ORDER BY j.user_id, j.run_at
      LIMIT 1;
      v_user := coalesce(v_user, v_next);
      IF v_user IS NULL OR (v_second AND v_user > p_after) THEN
        EXIT WHEN v_second OR p_after IS NULL;
        v_second := true;
        v_user := NULL;
        CONTINUE;
      END IF;
      v_at := width_bucket(v_user, p_floor_users);
      v_floor := CASE WHEN p_floor_users[v_at] = v_user THEN p_floors[v_at] ELSE '-infinity' END;
      v_room := p_slots;
      IF p_max_per_user > 0 THEN
        SELECT least(p_slots, p_max_per_user - count(*)) INTO v_room
        FROM upload_pipeline.upload_jobs AS j
        WHERE j.state = 'working' AND j.user_id = v_user;
      END IF;
      IF v_room > 0 AND EXISTS (
        SELECT FROM upload_pipeline.upload_jobs AS j
        WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id = v_user
          AND j.run_at BETWEEN v_floor AND p_now AND j.status = ANY (p_statuses) AND j.crash_count < p_max_crashes
      ) THEN
        v_users := v_users || v_user;
        v_rooms := v_rooms || v_room;
        v_lows := v_lows || v_floor;
        EXIT WHEN cardinality(v_users) >= v_left;
      END IF;
    END LOOP;

    -- An even share for each; in the second round, what some do not need goes to those that have more.
    FOR v_round IN 1 .. 2 LOOP
      FOR i IN 1 .. cardinality(v_users) LOOP
        v_left := p_slots - cardinality(v_picked);
        EXIT WHEN v_left <= 0;
        v_share := CASE v_round WHEN 1 THEN ceil(v_left::numeric / (cardinality(v_users) - i + 1))::int ELSE v_left END;
        CONTINUE WHEN v_rooms[i] <= 0;
        SELECT coalesce(array_agg(mine.at), '{}') INTO v_new
        FROM (
          SELECT j.ctid AS at
          FROM upload_pipeline.upload_jobs AS j
          WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id = v_users[i]
            AND j.run_at BETWEEN v_lows[i] AND p_now AND j.status = ANY (p_statuses) AND j.crash_count < p_max_crashes
            AND (v_round = 1 OR j.ctid <> ALL (v_picked))
          ORDER BY j.run_at, j.job_id
          LIMIT least(v_rooms[i], v_share)
          FOR UPDATE SKIP LOCKED
        ) AS mine;
        IF cardinality(v_new) > 0 THEN
          v_picked := v_picked || v_new;
          v_rooms[i] := v_rooms[i] - cardinality(v_new);
          v_last := v_users[i];
        END IF;
      END LOOP;
    END LOOP;

    p_floor_users := '{}';
    SELECT min(j.priority) INTO v_priority
    FROM upload_pipeline.upload_jobs AS j
    WHERE j.state IN ('queued', 'retryable') AND j.priority > v_priority;
  END LOOP;

  IF cardinality(v_picked) = 0 THEN
    IF v_waiting THEN
      served_last := p_after;
      RETURN NEXT;
    END IF;
    RETURN;
  END IF;
  -- The rows are locked, so where they are is where they stay until this transaction ends.
  RETURN QUERY
  WITH taken AS (
  UPDATE upload_pipeline.upload_jobs AS j
  SET state = 'working', claimed_by = p_worker, claimed_at = p_now, lease_expires_at = p_now + p_lease * interval '1 second',
      lease_epoch = j.lease_epoch + 1, step_started_at = p_now, started_at = coalesce(j.started_at, p_now), updated_at = p_now
  WHERE j.ctid = ANY (v_picked)
  RETURNING j.job_id, j.document_id, j.user_id, j.lease_epoch, j.status, j.retry_count, j.progress, j.upload_expires_at,
    j.enqueued_by, j.correlation_id, j.priority, j.run_at
  ),
  started AS (
    INSERT INTO upload_pipeline.events (job_id, document_id, type, severity, code, correlation_id)
    SELECT t.job_id, t.document_id, 'stage_started', 'info', p_steps[array_position(p_statuses, t.status)], t.correlation_id
    FROM taken AS t
    WHERE p_steps IS NOT NULL
  )
  SELECT t.*, v_last FROM taken AS t;
END
$$;
COMMENT ON FUNCTION upload_pipeline.claim_jobs_from IS 'Takes claimable jobs for a worker, fair across users, from where it left off; commits asynchronously.';
