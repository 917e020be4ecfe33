//! The failover to a streaming replica, and what an asynchronous one loses: the transactions of which it had not received
//! the commit, and nothing else. The old primary's log says which these are.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    time::{Duration, Instant},
};

use embedded_postgres::{Cluster, find_binaries};
use rustix::process::{Pid, Signal, kill_process};

use super::stack::{DATABASE, Replication, rows, try_rows};
use crate::support::{cluster::environment, fleet::PATIENCE};

/// How long an asynchronous replica receives nothing before the primary crashes.
const LAG: Duration = Duration::from_millis(700);
/// How long commits wait for a synchronous replica before the primary crashes.
const IN_STEP: Duration = Duration::from_millis(500);

/// The rows that a failover may change, each by table and id, with the transaction that wrote it and a digest.
const STATE: &str = "
SELECT 'job', j.job_id::text, j.xmin::text, md5(j::text), j.document_id::text, '' FROM upload_pipeline.upload_jobs AS j
UNION ALL
SELECT 'document', d.document_id::text, d.xmin::text, md5(d::text), d.document_id::text, d.raw_path || ' ' || coalesce(d.parsed_path, '')
FROM upload_pipeline.documents AS d
UNION ALL
SELECT 'version', v.document_id || ' ' || v.version_no, v.xmin::text, md5(v::text), v.document_id::text,
  v.raw_path || ' ' || coalesce(v.parsed_path, '')
FROM upload_pipeline.document_versions AS v
UNION ALL
SELECT 'upload', u.upload_id::text, u.xmin::text, md5(u::text), coalesce(u.document_id::text, ''), u.storage_key FROM upload_pipeline.uploads AS u
UNION ALL
SELECT 'deletion', s.deletion_id || s.storage_key, s.xmin::text, md5(s::text), s.document_id::text, s.storage_key
FROM upload_pipeline.storage_deletions AS s";

/// A row of [`STATE`].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    xmin: String,
    digest: String,
    document: String,
    keys: String,
}

type State = BTreeMap<(String, String), Row>;

/// What the new primary has, before anything is written to it.
pub struct Kept {
    /// Where its log parted from the old primary's.
    parted_at: String,
    state: State,
}

/// What failovers have lost.
#[derive(Debug, Clone, Default)]
pub struct Loss {
    /// Documents of which a job, an upload or a deletion was lost, or is older.
    pub documents: BTreeSet<String>,
    /// Objects that those rows named.
    pub keys: BTreeSet<String>,
    /// Transactions that were acknowledged or under way, and not received.
    pub transactions: usize,
    /// Rows that differ though the replica had received their transactions.
    pub wrong: Vec<(String, String)>,
}

async fn ask(cluster: &Cluster, sql: &str) -> Option<String> {
    try_rows(&cluster.url("postgres"), sql).await.ok()?.into_iter().next()?.into_iter().next()
}

async fn wait_for(cluster: &Cluster, sql: &str) {
    let deadline = Instant::now() + PATIENCE;
    while ask(cluster, sql).await.as_deref() != Some("t") {
        assert!(Instant::now() < deadline, "not true within {PATIENCE:?}: {sql}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn wait_until_streaming(primary: &Cluster) {
    wait_for(primary, "SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'").await;
}

/// Brings the two servers in step, or out of it. Returns the process that was stopped.
pub async fn prepare(primary: &Cluster, replica: &Cluster, replication: Replication) -> Option<Pid> {
    match replication {
        Replication::Synchronous => {
            let now = "ALTER SYSTEM SET synchronous_standby_names = '*'";
            rows(&primary.url("postgres"), now).await;
            rows(&primary.url("postgres"), "SELECT pg_reload_conf()").await;
            wait_for(primary, "SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state = 'sync'").await;
            // What was committed before must have arrived too.
            let committed = ask(primary, "SELECT pg_current_wal_insert_lsn()").await.unwrap();
            let arrived = format!("SELECT bool_and(flush_lsn >= '{committed}') FROM pg_stat_replication");
            wait_for(primary, &arrived).await;
            tokio::time::sleep(IN_STEP).await;
            None
        }
        Replication::Asynchronous => {
            let receiver = ask(replica, "SELECT pid FROM pg_stat_wal_receiver").await;
            let receiver = receiver.and_then(|pid| Pid::from_raw(pid.parse().ok()?)).expect("the replica receives");
            kill_process(receiver, Signal::STOP).unwrap();
            tokio::time::sleep(LAG).await;
            Some(receiver)
        }
    }
}

/// Makes a primary of the replica, whose own primary is gone, and which applies all that reached this machine.
pub async fn promote(replica: &Cluster, stopped: Option<Pid>) -> Kept {
    if let Some(receiver) = stopped {
        kill_process(receiver, Signal::CONT).unwrap();
    }
    wait_for(replica, "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')").await;
    // It applies all whole records that it received before it takes writes. The last one may be there in part only.
    wait_for(replica, "SELECT pg_promote(true)").await;
    let sql = "SELECT pg_read_file('pg_wal/' || max(f.name)) FROM pg_ls_waldir() AS f WHERE f.name LIKE '%.history'";
    let history = ask(replica, sql).await.expect("a promoted server has a history file");
    // Timeline, place and reason.
    let last = history.lines().rfind(|line| !line.trim().is_empty()).unwrap();
    let parted_at = last.split_whitespace().nth(1).unwrap().to_owned();
    Kept { parted_at, state: state(replica).await }
}

async fn state(cluster: &Cluster) -> State {
    let found = rows(&cluster.url(DATABASE), STATE).await.into_iter();
    found
        .map(|row| {
            let [table, id, xmin, digest, document, keys] = row.try_into().unwrap();
            ((table, id), Row { xmin, digest, document, keys })
        })
        .collect()
}

impl Loss {
    /// Compares the old primary, which runs alone, with what was kept. From a synchronous replica only those commits are
    /// missing that nobody was told of, so that the clients' view holds as it is.
    pub async fn collect(&mut self, old: &Cluster, kept: &Kept, replication: Replication) {
        if replication == Replication::Synchronous {
            return;
        }
        let (before, unreceived) = (state(old).await, list_unreceived(old, &kept.parted_at).await);
        self.transactions += unreceived.len();
        let ids: BTreeSet<_> = before.keys().chain(kept.state.keys()).collect();
        for id in ids {
            let (was, is) = (before.get(id), kept.state.get(id));
            if was.map(|row| &row.digest) == is.map(|row| &row.digest) {
                continue;
            }
            for row in [was, is].into_iter().flatten() {
                self.documents.insert(row.document.clone());
                self.keys.extend(row.keys.split_whitespace().map(str::to_owned));
            }
            // The log does not say which rows a transaction deleted.
            let is_explained = was.map_or(!unreceived.is_empty(), |row| unreceived.contains(&row.xmin));
            if !is_explained {
                self.wrong.push((id.1.clone(), format!("{} differs, and its transaction was received", id.0)));
            }
        }
    }
}

/// The transactions whose commit is in the old primary's log behind where the new one's parts from it.
async fn list_unreceived(old: &Cluster, parted_at: &str) -> BTreeSet<String> {
    let end = ask(old, "SELECT pg_current_wal_flush_lsn()").await.unwrap();
    let timeline = ask(old, "SELECT timeline_id FROM pg_control_checkpoint()").await.unwrap();
    let binaries = find_binaries(&environment()).unwrap();
    let data = old.folder().join("cluster/data");
    let output = Command::new(binaries.program("pg_waldump"))
        .args(["--rmgr=Transaction", "--timeline", &timeline, "--start", parted_at, "--end", &end, "--path"])
        .arg(data.join("pg_wal"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    // Where the log ends, it complains, after it has printed what is before.
    let is_end = ["invalid record length", "could not find a valid record"].iter().any(|end| complaint.contains(end));
    assert!(output.status.success() || is_end, "pg_waldump from {parted_at} to {end}: {complaint}");
    let commits = text.lines().filter(|line| line.contains("desc: COMMIT"));
    commits.filter_map(|line| Some(line.split_once("tx:")?.1.split_once(',')?.0.trim().to_owned())).collect()
}
