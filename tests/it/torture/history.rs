//! Tables in the schema `torture`: each change of a job, written by a trigger in the same transaction, and the facts that
//! only the test knows.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use tokio::sync::watch;

use super::{
    chaos::{Injected, now},
    failover::Loss,
    load::Promise,
    stack::{rows, try_rows},
};
use crate::support::cluster::connect;

const INSTALL: &str = "
CREATE SCHEMA torture;
CREATE TABLE torture.history (
  seq bigint GENERATED ALWAYS AS IDENTITY, ts timestamptz NOT NULL DEFAULT now(), job_id uuid NOT NULL,
  old_state text, state text, old_status text, status text, old_epoch bigint, epoch bigint, old_owner uuid, owner uuid,
  old_tries int, tries int, old_crashes int, crashes int, old_lease timestamptz, lease timestamptz);
CREATE INDEX ON torture.history (job_id, seq);
CREATE FUNCTION torture.log_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO torture.history (job_id, old_state, state, old_status, status, old_epoch, epoch, old_owner, owner,
    old_tries, tries, old_crashes, crashes, old_lease, lease)
  VALUES (NEW.job_id, OLD.state, NEW.state, OLD.status, NEW.status, OLD.lease_epoch, NEW.lease_epoch, OLD.claimed_by, NEW.claimed_by,
    OLD.retry_count, NEW.retry_count, OLD.crash_count, NEW.crash_count, OLD.lease_expires_at, NEW.lease_expires_at);
  RETURN NULL;
END
$$;
CREATE TRIGGER torture AFTER UPDATE ON upload_pipeline.upload_jobs FOR EACH ROW
  WHEN ((OLD.state, OLD.status, OLD.lease_epoch, OLD.claimed_by, OLD.retry_count, OLD.crash_count)
    IS DISTINCT FROM (NEW.state, NEW.status, NEW.lease_epoch, NEW.claimed_by, NEW.retry_count, NEW.crash_count))
  EXECUTE FUNCTION torture.log_job();
CREATE TABLE torture.workers (id uuid PRIMARY KEY, name text NOT NULL);
CREATE FUNCTION torture.log_worker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO torture.workers (id, name) VALUES (NEW.id, NEW.branch) ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
CREATE TRIGGER torture AFTER INSERT ON upload_pipeline.workers FOR EACH ROW EXECUTE FUNCTION torture.log_worker();
CREATE TABLE torture.ledger (job_id uuid PRIMARY KEY, document_id uuid NOT NULL, wanted text NOT NULL,
  cancelled boolean NOT NULL, touched boolean NOT NULL, deleted boolean, lost boolean NOT NULL, book boolean NOT NULL);
CREATE TABLE torture.outages (since float8 NOT NULL, until float8 NOT NULL);
CREATE TABLE torture.faults (at float8 NOT NULL, fault text NOT NULL, worker text);
CREATE TABLE torture.objects (key text PRIMARY KEY);
CREATE TABLE torture.lost_keys (key text PRIMARY KEY);
-- How long each page waited for its first claim while the database was there. One of a low priority may wait for the others.
CREATE VIEW torture.waits AS
SELECT j.job_id, extract(epoch FROM c.claimed_at - j.created_at)::float8 - (
  SELECT coalesce(sum(least(extract(epoch FROM c.claimed_at), o.until) - greatest(extract(epoch FROM j.created_at), o.since)), 0)
  FROM torture.outages AS o
  WHERE o.since < extract(epoch FROM c.claimed_at) AND o.until > extract(epoch FROM j.created_at))::float8 AS seconds
FROM torture.ledger AS l
JOIN upload_pipeline.upload_jobs AS j USING (job_id)
CROSS JOIN LATERAL (SELECT min(h.ts) AS claimed_at FROM torture.history AS h WHERE h.job_id = j.job_id AND h.state = 'working') AS c
WHERE j.priority <= 0 AND NOT l.touched AND NOT l.lost AND NOT l.book AND c.claimed_at IS NOT NULL;";

/// Creates the schema; call it before the first job.
pub async fn install(url: &str) {
    connect(url).await.unwrap().batch_execute(INSTALL).await.unwrap();
}

/// Facts that only the test knows.
pub struct Known<'a> {
    pub ledger: &'a std::collections::BTreeMap<String, Promise>,
    pub outages: &'a [(f64, f64)],
    pub faults: &'a [Injected],
    pub lost: &'a Loss,
    pub storage: &'a Path,
}

/// Writes the promises to the clients, the outages, the faults and the keys of the stored objects; call it after the last
/// job.
pub async fn load(url: &str, known: &Known<'_>) {
    let ledger = known.ledger.iter().map(|(job, promise)| {
        let Promise { document, wanted, cancelled, touched, deleted, book } = promise;
        let lost = known.lost.documents.contains(document);
        // Of what was lost, the clients' view holds no more.
        let (cancelled, touched) = (*cancelled && !lost, *touched || lost);
        let deleted = deleted.map_or("NULL".to_owned(), |answered| (answered && !lost).to_string());
        format!("('{job}','{document}','{wanted}',{cancelled},{touched},{deleted},{lost},{book})")
    });
    insert(url, "ledger", ledger).await;
    insert(url, "outages", known.outages.iter().map(|(since, until)| format!("({since},{until})"))).await;
    let fault = |injected: &Injected| {
        let worker = injected.worker.as_ref().map_or("NULL".to_owned(), |name| format!("'{name}'"));
        format!("({},'{:?}',{worker})", injected.at, injected.fault)
    };
    insert(url, "faults", known.faults.iter().map(fault)).await;
    insert(url, "lost_keys", known.lost.keys.iter().map(|key| format!("('{key}')"))).await;
    let mut keys = Vec::new();
    list(known.storage, known.storage, &mut keys);
    insert(url, "objects", keys.iter().map(|key| format!("('{key}')"))).await;
}

async fn insert(url: &str, table: &str, values: impl Iterator<Item = String>) {
    let mut sql = String::new();
    for value in values {
        let _never_fails = write!(sql, "{}{value}", if sql.is_empty() { "" } else { "," });
    }
    if !sql.is_empty() {
        rows(url, &format!("INSERT INTO torture.{table} VALUES {sql} ON CONFLICT DO NOTHING")).await;
    }
}

/// Collects the keys of the objects. A partial file of a killed process (`KEY#1`) counts as the object itself.
fn list(root: &Path, folder: &Path, keys: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(root, &path, keys);
        } else {
            let key = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            keys.push(key.split('#').next().unwrap_or_default().to_owned());
        }
    }
}

/// Queries the database through pooler and proxy until `stop`; returns the outages as pairs of seconds since 1970.
pub async fn watch_outages(url: String, stop: watch::Receiver<bool>) -> Vec<(f64, f64)> {
    const PATIENCE: Duration = Duration::from_secs(1);
    let (mut spans, mut client, mut answered, mut away) = (Vec::new(), None, now(), false);
    while !*stop.borrow() {
        let ask = async {
            if client.is_none() {
                client = Some(connect(&url).await?);
            }
            client.as_ref().unwrap().simple_query("SELECT 1").await
        };
        let is_there = matches!(tokio::time::timeout(PATIENCE, ask).await, Ok(Ok(_)));
        let asked = now();
        if is_there {
            if away || asked - answered > PATIENCE.as_secs_f64() {
                spans.push((answered, asked));
            }
            (answered, away) = (asked, false);
        } else {
            (client, away) = (None, true);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    spans
}

/// The number of jobs that have not ended; `None` while the database is down.
pub async fn count_live(url: &str) -> Option<u64> {
    let sql = "SELECT count(*) FROM upload_pipeline.upload_jobs WHERE state NOT IN ('done', 'deadletter', 'cancelled')";
    try_rows(url, sql).await.ok()?.first()?.first()?.parse().ok()
}
