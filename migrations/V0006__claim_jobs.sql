-- The claim as one call, at the price of a flush less and a lookup less a job, and events that cost what they say.
-- `pick_jobs` stays while builds that call it may still run; nothing of this build does.

-- Which jobs a worker gets, taken at once: fair across users within a priority, bounded per user, and at the price of
-- the users that have work, not of their rows. It hops along ix_upload_jobs_claim from user to user, starting behind
-- the user that this worker served last, locks only what it picks, and writes owner, lease and epoch. Sequential scans
-- are off, since the table is mostly history and one such plan, kept by the session, would read it at every claim.
-- Where it takes nothing though jobs wait, it returns one row without a job, so that only then the caller asks for when.
-- The commit is asynchronous: a claim that a crash of the server loses is only made again, and until then the fence
-- (claimed_by with lease_epoch) shuts out whoever believes in it. The next synchronous commit carries it to disk.
CREATE FUNCTION upload_pipeline.claim_jobs(
  p_worker       uuid,             -- who claims
  p_slots        int,              -- jobs wanted
  p_max_per_user int,              -- running jobs a user may have; 0: no bound
  p_after        uuid,             -- the user served last; the turn goes on behind it
  p_statuses     text[],           -- what this build knows how to run
  p_steps        text[],           -- the step that each of these begins; null: no event is written of it
  p_max_crashes  int,              -- jobs that were taken over in a step this often run alone: not taken here
  p_lease        double precision, -- seconds
  p_now          timestamptz
) RETURNS TABLE (
  job_id uuid, document_id uuid, user_id uuid, lease_epoch bigint, status text, retry_count int, progress jsonb,
  upload_expires_at timestamptz, enqueued_by text, correlation_id uuid, served_last uuid)
LANGUAGE plpgsql SET search_path = pg_catalog SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  v_priority smallint;
  v_user     uuid;
  v_users    uuid[];
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
  SELECT min(j.priority) INTO v_priority FROM upload_pipeline.upload_jobs AS j WHERE j.state IN ('queued', 'retryable');
  v_waiting := v_priority IS NOT NULL;
  WHILE v_priority IS NOT NULL AND cardinality(v_picked) < p_slots LOOP
    v_left := p_slots - cardinality(v_picked);
    -- The ring of users that have work in this priority: those behind p_after, then the others.
    v_users := '{}';
    v_rooms := '{}';
    v_second := false;
    v_user := p_after;
    LOOP
      -- Two statements, so that a plan for any user can begin behind him in the index and not read past his rows.
      IF v_user IS NULL THEN
        SELECT j.user_id INTO v_user
        FROM upload_pipeline.upload_jobs AS j
        WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority
        ORDER BY j.user_id
        LIMIT 1;
      ELSE
        SELECT j.user_id INTO v_user
        FROM upload_pipeline.upload_jobs AS j
        WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id > v_user
        ORDER BY j.user_id
        LIMIT 1;
      END IF;
      IF v_user IS NULL OR (v_second AND v_user > p_after) THEN
        EXIT WHEN v_second OR p_after IS NULL;
        v_second := true;
        v_user := NULL;
        CONTINUE;
      END IF;
      v_room := p_slots;
      IF p_max_per_user > 0 THEN
        SELECT least(p_slots, p_max_per_user - count(*)) INTO v_room
        FROM upload_pipeline.upload_jobs AS j
        WHERE j.state = 'working' AND j.user_id = v_user;
      END IF;
      IF v_room > 0 AND EXISTS (
        SELECT FROM upload_pipeline.upload_jobs AS j
        WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id = v_user AND j.run_at <= p_now
          AND j.status = ANY (p_statuses) AND j.crash_count < p_max_crashes
      ) THEN
        v_users := v_users || v_user;
        v_rooms := v_rooms || v_room;
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
            AND j.run_at <= p_now AND j.status = ANY (p_statuses) AND j.crash_count < p_max_crashes
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
    j.enqueued_by, j.correlation_id
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

-- New jobs, however many at once. A function, because an unnamed statement is planned anew each time that it is sent, which
-- costs more than inserting a row; the plans of a function are kept by the session, also behind a pooler.
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
COMMENT ON FUNCTION upload_pipeline.claim_jobs IS 'Takes claimable jobs for a worker, fair across users; commits asynchronously.';

-- An event is written at every transition of every job: two foreign keys and an index for one of them were most of its
-- price. Its rows go with their job by one statement for however many jobs are deleted, by whomever.
ALTER TABLE upload_pipeline.events
  DROP CONSTRAINT IF EXISTS events_job_id_fkey,
  DROP CONSTRAINT IF EXISTS events_document_id_fkey;
DROP INDEX upload_pipeline.ix_events_document;

CREATE FUNCTION upload_pipeline.delete_events_of_jobs() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  DELETE FROM upload_pipeline.events AS e USING gone AS g WHERE e.job_id = g.job_id;
  RETURN NULL;
END
$$;
CREATE TRIGGER tr_upload_jobs_delete_events AFTER DELETE ON upload_pipeline.upload_jobs
  REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION upload_pipeline.delete_events_of_jobs();
