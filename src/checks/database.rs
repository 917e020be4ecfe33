//! `db.connect`: whether the database answers, and which version it is; `db.vector`: whether pgvector is there.

use std::time::Instant;

use super::{CheckStatus, Finding};
use crate::db::{
    Db, DbError,
    server::{ServerFacts, get_server_facts},
};

/// The oldest server that the schema works on. Source: `NULLS NOT DISTINCT`-free SQL and pgvector's own minimum; tested on 15 and 18.
const MIN_VERSION: i32 = 150_000;

pub(super) async fn check(db: &Db) -> Vec<Finding> {
    let began = Instant::now();
    let facts = match facts(db).await {
        Ok(facts) => facts,
        Err(error) => return vec![unreachable(began, &error)],
    };
    let mut findings = vec![if facts.version_num < MIN_VERSION {
        Finding::failed(
            "db.connect",
            began,
            format!("connected to PostgreSQL {}", facts.version),
            "server_too_old",
            "Use PostgreSQL 15 or newer.",
        )
    } else {
        Finding::passed("db.connect", began, format!("connected to PostgreSQL {} as {}", facts.version, facts.user))
    }];
    findings.push(match facts.vector_version {
        Some(version) => Finding::passed("db.vector", began, format!("pgvector {version}")),
        None if facts.vector_available => Finding {
            status: CheckStatus::Warning,
            ..Finding::failed(
                "db.vector",
                began,
                "pgvector can be installed, but is not yet",
                "extension_not_created",
                "Run `app migrate`, which creates it.",
            )
        },
        None => Finding::failed(
            "db.vector",
            began,
            "this server has no pgvector",
            "extension_missing",
            "Install the extension `vector` (pgvector) on the database server, or use a host that offers it.",
        ),
    });
    findings
}

async fn facts(db: &Db) -> Result<ServerFacts, DbError> {
    get_server_facts(&db.get().await?).await
}

fn unreachable(began: Instant, error: &DbError) -> Finding {
    match error {
        DbError::Connect(problem) => Finding::failed(
            "db.connect",
            began,
            &problem.what,
            problem.code(),
            format!("{} {}", problem.why, problem.fix),
        ),
        other => {
            Finding::failed("db.connect", began, other.to_string(), other.code(), "See the message; then try again.")
        }
    }
}
