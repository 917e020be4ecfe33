//! `app check`: each fault is made for real and has exactly its cause.

mod configuration;
mod database;
mod network;
mod output;
mod schema;

use std::process::ExitStatus;

use serde_json::Value;

use crate::support::{db::TestDb, fleet::Fleet};

/// The result of the real `app check --output json`.
pub struct Checked {
    pub status: ExitStatus,
    pub report: Value,
}

/// Runs `app check` with the fleet's settings.
pub fn check(fleet: &Fleet, args: &[&str]) -> Checked {
    let (status, stdout, stderr) = fleet.run(&[&["check", "--output", "json"], args].concat());
    let report = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"));
    Checked { status, report }
}

impl Checked {
    /// The ids of all causes, in order.
    pub fn causes(&self) -> Vec<&str> {
        self.checks().filter_map(|check| check["cause"].as_str()).collect()
    }

    pub fn checks(&self) -> impl Iterator<Item = &Value> {
        self.report["checks"].as_array().unwrap().iter()
    }

    /// The one check of this id.
    pub fn one(&self, id: &str) -> &Value {
        self.checks().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {:#}", self.report))
    }

    /// Requires that exactly this cause was found and that the exit code is 1. Returns the finding.
    pub fn requires(&self, cause: &str) -> &Value {
        assert_eq!(self.causes(), [cause], "{:#}", self.report);
        assert_eq!(self.status.code(), Some(1), "{:#}", self.report);
        self.checks().find(|check| check["cause"] == cause).unwrap()
    }
}

/// A healthy environment without workers, in which a test makes one fault.
pub struct Environment {
    pub db: TestDb,
    pub fleet: Fleet,
}

impl Environment {
    pub async fn new() -> Self {
        let db = TestDb::new().await;
        let fleet = Fleet::new(&db.url, &db.url);
        Self { db, fleet }
    }

    /// All checks that need no running deployment.
    pub fn check(&self) -> Checked {
        check(&self.fleet, &["--pre"])
    }

    /// The same, with warnings as failures.
    pub fn check_strictly(&self) -> Checked {
        check(&self.fleet, &["--pre", "--strict"])
    }
}
