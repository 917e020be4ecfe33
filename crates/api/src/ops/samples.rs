//! Examples for the contract, as values of the messages.

use time::macros::datetime;

use messages::{Health, VersionInfo};

pub fn health(ready: bool) -> Health {
    let checks = if ready {
        vec![("database", "ok"), ("environment", "ok"), ("schema", "ok"), ("storage", "ok")]
    } else {
        vec![
            ("database", "ok"),
            ("environment", "ok"),
            ("schema", "The database has no schema yet. Run `app migrate`."),
            ("storage", "ok"),
        ]
    };
    Health {
        status: if ready { "ok" } else { "unavailable" }.to_owned(),
        environment: "production".to_owned(),
        timestamp: datetime!(2026-03-02 09:15:09.5 UTC),
        version: "0.1.0".to_owned(),
        commit: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".to_owned(),
        branch: "main".to_owned(),
        built_at: Some(datetime!(2026-03-02 09:15:04.25 UTC)),
        schema_version: 8,
        checks: checks.into_iter().map(|(name, said)| (name.to_owned(), said.to_owned())).collect(),
    }
}

pub fn version() -> VersionInfo {
    let Health { version, commit, branch, built_at, schema_version, environment, .. } = health(true);
    VersionInfo { version, commit, branch, built_at, schema_version, environment }
}
