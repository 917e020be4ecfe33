-- Which jobs a worker gets: fair across users within a priority, bounded per user, and at the price of the users that
-- have work, not of their rows. It hops along the index ix_upload_jobs_claim from user to user, starting behind the
-- user that this worker served last, and locks only what it picks. The caller's UPDATE takes what is picked here.
CREATE FUNCTION upload_pipeline.pick_jobs(
  p_slots        int,          -- jobs wanted
  p_max_per_user int,          -- running jobs a user may have; 0: no bound
  p_after        uuid,         -- the user served last; the turn goes on behind it
  p_statuses     text[],       -- what this build knows how to run
  p_max_crashes  int,          -- jobs that were taken over in a step this often run alone: not picked here
  p_now          timestamptz
) RETURNS SETOF uuid
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
  v_priority smallint;
  v_user     uuid;
  v_users    uuid[];
  v_rooms    int[];
  v_room     int;
  v_left     int := p_slots;
  v_share    int;
  v_picked   uuid[] := '{}';
  v_new      uuid[];
  v_second   boolean;
BEGIN
  SELECT min(j.priority) INTO v_priority FROM upload_pipeline.upload_jobs AS j WHERE j.state IN ('queued', 'retryable');
  WHILE v_priority IS NOT NULL AND cardinality(v_picked) < p_slots LOOP
    v_left := p_slots - cardinality(v_picked);
    -- The ring of users that have work in this priority: those behind p_after, then the others.
    v_users := '{}';
    v_rooms := '{}';
    v_second := false;
    v_user := p_after;
    LOOP
      SELECT j.user_id INTO v_user
      FROM upload_pipeline.upload_jobs AS j
      WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority
        AND (v_user IS NULL OR j.user_id > v_user)
      ORDER BY j.user_id
      LIMIT 1;
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
        SELECT coalesce(array_agg(mine.job_id), '{}') INTO v_new
        FROM (
          SELECT j.job_id
          FROM upload_pipeline.upload_jobs AS j
          WHERE j.state IN ('queued', 'retryable') AND j.priority = v_priority AND j.user_id = v_users[i]
            AND j.run_at <= p_now AND j.status = ANY (p_statuses) AND j.crash_count < p_max_crashes
            AND (v_round = 1 OR j.job_id <> ALL (v_picked))
          ORDER BY j.run_at, j.job_id
          LIMIT least(v_rooms[i], v_share)
          FOR UPDATE SKIP LOCKED
        ) AS mine;
        v_picked := v_picked || v_new;
        v_rooms[i] := v_rooms[i] - cardinality(v_new);
      END LOOP;
    END LOOP;

    SELECT min(j.priority) INTO v_priority
    FROM upload_pipeline.upload_jobs AS j
    WHERE j.state IN ('queued', 'retryable') AND j.priority > v_priority;
  END LOOP;
  RETURN QUERY SELECT unnest(v_picked);
END
$$;

COMMENT ON FUNCTION upload_pipeline.pick_jobs IS 'Picks and locks claimable jobs, fair across users; the claim takes them.';

-- Repeat victims of crashes, which run alone; almost always empty.
CREATE INDEX ix_upload_jobs_suspect ON upload_pipeline.upload_jobs (run_at) WHERE crash_count > 1 AND state IN ('queued', 'retryable');
