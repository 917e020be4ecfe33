//! Warns of what slows the whole database down without failing: once when it begins, and once when it is over.

use std::collections::BTreeMap;

use pg::{DbError, Session};
use store::gauges::{OpenTransaction, TableGauge, get_oldest_transaction, list_table_gauges};

/// A transaction that is open for longer is no longer a slow query: no statement of `app` takes minutes.
const OPEN_TOO_LONG_SECONDS: i64 = 3600;
/// Fewer dead rows than this slow nothing down.
const DEAD_ROWS_MATTER_FROM: i64 = 50_000;
/// Dead rows for each live one, from which on a table is mostly dead.
const DEAD_FOR_ONE_LIVE: i64 = 2;

/// Warnings that are not over yet.
#[derive(Debug, Default)]
pub(super) struct Watch {
    said: BTreeMap<String, String>,
}

impl Watch {
    /// Checks the database, and logs new and ended findings.
    pub(super) async fn check(&mut self, db: &impl Session) -> Result<(), DbError> {
        let tables = list_table_gauges(db).await?;
        let oldest = get_oldest_transaction(db).await?;
        let (begun, over) = self.changes(findings(&tables, oldest.as_ref()));
        for warning in begun {
            tracing::warn!("{warning}");
        }
        for topic in over {
            tracing::info!("{topic}: this is over");
        }
        Ok(())
    }

    /// What is new among the findings, and the topics of those that are gone.
    fn changes(&mut self, findings: BTreeMap<String, String>) -> (Vec<String>, Vec<String>) {
        let begun = findings
            .iter()
            .filter(|(topic, _)| !self.said.contains_key(*topic))
            .map(|(_, text)| text.clone())
            .collect();
        let over = self.said.keys().filter(|topic| !findings.contains_key(*topic)).cloned().collect();
        self.said = findings;
        (begun, over)
    }
}

/// Each finding by its topic, which stays the same for as long as the cause does.
fn findings(tables: &[TableGauge], oldest: Option<&OpenTransaction>) -> BTreeMap<String, String> {
    let oldest = oldest.filter(|open| open.open_for_seconds > OPEN_TOO_LONG_SECONDS);
    let mut found = BTreeMap::new();
    if let Some(open) = oldest {
        let topic = match open.pid {
            0 => format!("a prepared transaction ({}) is open for over an hour", open.application_name),
            pid => format!("a transaction of `{}` (process {pid}) is open for over an hour", open.application_name),
        };
        let minutes = open.open_for_seconds / 60;
        let text = format!(
            "{topic}: {}, {minutes} minutes; meanwhile no vacuum can remove what died since, and the queue slows down. End it: {}",
            open.state,
            open.end_statement()
        );
        found.insert(topic, text);
    }
    let mostly_dead = |table: &&TableGauge| {
        table.dead_rows >= DEAD_ROWS_MATTER_FROM && table.dead_rows > table.rows.saturating_mul(DEAD_FOR_ONE_LIVE)
    };
    for table in tables.iter().filter(mostly_dead) {
        let topic = format!("table {} is mostly dead rows", table.table);
        let why = match oldest {
            Some(open) => format!("an old transaction keeps them. End it: {}", open.end_statement()),
            None => {
                "autovacuum is off or does not keep up. VACUUM (ANALYZE) it, and see that autovacuum is on".to_owned()
            }
        };
        let text = format!("{topic}: {} dead, {} live; {why}", table.dead_rows, table.rows);
        found.insert(topic, text);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(dead_rows: i64, rows: i64) -> TableGauge {
        TableGauge { table: "upload_jobs".to_owned(), rows, dead_rows, vacuumed_seconds_ago: None }
    }

    fn open(open_for_seconds: i64) -> OpenTransaction {
        OpenTransaction {
            pid: 42,
            application_name: "report".to_owned(),
            state: "idle in transaction".to_owned(),
            open_for_seconds,
        }
    }

    #[test]
    fn an_hour_old_transaction_is_named_with_what_ends_it() {
        assert!(findings(&[], Some(&open(3599))).is_empty());
        let found = findings(&[], Some(&open(7260)));
        let text = found.values().next().unwrap();
        for part in ["`report`", "121 minutes", "idle in transaction", "pg_terminate_backend(42)"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn dead_rows_matter_only_when_they_are_many_and_most() {
        assert!(findings(&[table(49_999, 0), table(100_000, 50_000)], None).is_empty());
        let found = findings(&[table(100_001, 50_000)], None);
        assert!(found.values().next().unwrap().contains("VACUUM"), "{found:?}");
        let found = findings(&[table(100_001, 50_000)], Some(&open(9999)));
        assert!(found.values().all(|text| text.contains("pg_terminate_backend(42)")), "{found:?}");
    }

    #[test]
    fn a_warning_is_given_once_and_its_end_once() {
        let mut watch = Watch::default();
        let (begun, over) = watch.changes(findings(&[], Some(&open(4000))));
        assert_eq!((begun.len(), over.len()), (1, 0));
        let (begun, over) = watch.changes(findings(&[], Some(&open(4060))));
        assert_eq!((begun.len(), over.len()), (0, 0));
        let (begun, over) = watch.changes(findings(&[], None));
        assert_eq!((begun.len(), over.len()), (0, 1));
    }
}
