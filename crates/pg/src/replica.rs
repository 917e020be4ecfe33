//! A streaming replica for reads, as long as it is behind by less than a bound.
//!
//! Every quarter of the bound the primary says how far its log goes. What the replica has replayed up to such a place holds all
//! that was committed before it was asked for. So one question suffices for the writes of all processes, and no process has to know
//! who wrote what.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{Db, DbError, FromRow, Session};

/// A replica, and since when it is known to be complete.
pub struct Replica {
    db: Db,
    within: Duration,
    /// What was committed before this moment can be read there; `None`: not known.
    complete_at: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("within", &self.within).finish_non_exhaustive()
    }
}

/// Where a server's log is.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct LogPosition {
    /// Which server's log it is; a replica has that of its primary.
    pub system: i64,
    /// The database.
    pub name: String,
    /// Bytes since the log began; `None`: the server is no replica.
    pub at: Option<i64>,
}

/// How far the log of a primary goes.
pub async fn get_log_end(primary: &impl Session) -> Result<LogPosition, DbError> {
    primary
        .one(
            "-- get_log_end
SELECT (SELECT c.system_identifier FROM pg_control_system() AS c) AS system, current_database()::text AS name,
  (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS at",
            &[],
        )
        .await
}

/// How far a replica has replayed its primary's log.
pub async fn get_replayed(replica: &impl Session) -> Result<LogPosition, DbError> {
    replica
        .one(
            "-- get_replayed
SELECT (SELECT c.system_identifier FROM pg_control_system() AS c) AS system, current_database()::text AS name,
  CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint END AS at",
            &[],
        )
        .await
}

/// What both servers have said.
#[derive(Debug, Default)]
struct Ahead {
    /// Ends of the primary's log that the replica has not reached yet, oldest first, with when they were asked for.
    ends: VecDeque<(Instant, i64)>,
    /// What the replica had replayed when it was last asked.
    replayed: Option<i64>,
}

impl Ahead {
    fn push(&mut self, asked: Instant, at: i64) {
        self.ends.push_back((asked, at));
    }

    /// Whether the replica had replayed what the primary has not written since: it follows another one, as after a failover.
    fn is_beyond(&self, end: i64) -> bool {
        self.replayed.is_some_and(|replayed| replayed > end)
    }

    /// Takes out what was replayed; when the last of it was asked for. The first answer tells nothing, as it was compared
    /// with no later end of the log.
    fn reach(&mut self, replayed: i64) -> Option<Instant> {
        let mut reached = None;
        while let Some((asked, _)) = self.ends.pop_front_if(|(_, at)| *at <= replayed) {
            reached = Some(asked);
        }
        let is_first = self.replayed.replace(replayed).is_none();
        reached.filter(|_| !is_first)
    }

    /// Forgets what could no longer show that the replica is in time.
    fn forget_before(&mut self, moment: Instant) {
        self.ends.retain(|(asked, _)| *asked >= moment);
    }
}

/// How the replica was seen.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Current,
    Behind,
    Unusable(String),
}

impl Seen {
    fn say(&self) {
        match self {
            Self::Current => tracing::info!("searches and lists go to the replica of READ_DATABASE_URL"),
            Self::Behind => {
                tracing::warn!("the replica of READ_DATABASE_URL is behind: searches and lists go to DATABASE_URL");
            }
            Self::Unusable(why) => {
                tracing::warn!("the replica of READ_DATABASE_URL is not read, but DATABASE_URL in its place: {why}");
            }
        }
    }
}

impl Replica {
    /// The server of `db`, which may be behind by `within`. It is not read before [`watch`](Self::watch) has seen it.
    pub fn new(db: Db, within: Duration) -> Self {
        Self { db, within, complete_at: Mutex::default() }
    }

    /// The replica, if all that was committed `within` ago or earlier can be read there.
    pub fn current(&self) -> Option<&Db> {
        let complete_at = *self.complete_at.lock().unwrap_or_else(PoisonError::into_inner);
        complete_at.filter(|at| at.elapsed() <= self.within).map(|_| &self.db)
    }

    /// Leaves it alone until it was seen again: it has failed a reader.
    pub fn distrust(&self) {
        *self.complete_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Compares it with its primary for as long as this is polled, and logs when reads begin and cease to go there.
    pub async fn watch(&self, primary: &Db) {
        let (mut ahead, mut said) = (Ahead::default(), None);
        loop {
            let looked = self.look(primary, &mut ahead).await;
            let now = match (self.current(), looked) {
                (Some(_), _) => Seen::Current,
                (None, Ok(())) => Seen::Behind,
                (None, Err(why)) => Seen::Unusable(why),
            };
            if said.as_ref() != Some(&now) {
                now.say();
                said = Some(now);
            }
            tokio::time::sleep(self.within / 4).await;
        }
    }

    /// Compares it once.
    async fn look(&self, primary: &Db, ahead: &mut Ahead) -> Result<(), String> {
        let asked = Instant::now();
        let end = get_log_end(primary).await.map_err(|error| error.to_string())?;
        let replayed = get_replayed(&self.db).await.map_err(|error| error.to_string())?;
        let at = end.at.unwrap_or(i64::MAX);
        let follows_another =
            ahead.is_beyond(at).then_some("it is ahead of DATABASE_URL, so it follows another primary");
        if let Some(why) = mismatch(&end, &replayed).or(follows_another) {
            self.distrust();
            ahead.replayed = replayed.at;
            return Err(why.to_owned());
        }
        ahead.push(asked, at);
        if let Some(complete_at) = ahead.reach(replayed.at.unwrap_or(0)) {
            *self.complete_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(complete_at);
        }
        if let Some(moment) = Instant::now().checked_sub(self.within) {
            ahead.forget_before(moment);
        }
        Ok(())
    }
}

/// Why the second server is no replica of the first one's database.
pub fn mismatch(primary: &LogPosition, replica: &LogPosition) -> Option<&'static str> {
    match replica.at {
        None => Some("it is no replica, but takes writes itself"),
        Some(_) if primary.system != replica.system => Some("it is a replica of another server"),
        Some(_) if primary.name != replica.name => Some("it names another database than DATABASE_URL"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_complete_as_of_the_last_place_that_it_has_reached() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut ahead = Ahead::default();
        ahead.push(at(0), 90);
        assert_eq!(ahead.reach(99), None, "the first answer tells nothing");
        for (ms, place) in [(0, 100), (1, 100), (2, 150), (3, 200)] {
            ahead.push(at(ms), place);
        }
        assert_eq!(ahead.reach(99), None);
        assert_eq!(ahead.reach(160), Some(at(2)));
        assert_eq!(ahead.reach(160), None, "each place once");
        ahead.push(at(9), 300);
        ahead.forget_before(at(5));
        assert_eq!(ahead.reach(1000), Some(at(9)));
        assert!(!ahead.is_beyond(1000) && ahead.is_beyond(999), "the primary has written less than that");
    }

    #[test]
    fn a_server_that_is_no_replica_of_this_database_is_told() {
        let position = |system, name: &str, at| LogPosition { system, name: name.to_owned(), at };
        let primary = position(1, "app", Some(9));
        assert_eq!(mismatch(&primary, &position(1, "app", Some(3))), None);
        for (replica, says) in [
            (position(1, "app", None), "takes writes"),
            (position(2, "app", Some(3)), "another server"),
            (position(1, "other", Some(3)), "another database"),
        ] {
            assert!(mismatch(&primary, &replica).unwrap().contains(says));
        }
    }
}
