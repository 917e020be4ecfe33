//! `app migrate`.

use std::process::ExitCode;

use super::{
    Context,
    usable::wrong_environment,
    wiring::{connect_target, open_db_at},
};
use crate::cli::MigrateArgs;
use store::migrations::{MigrateError, MigrationStatus, get_carry_over_sql, list_migrations, migrate};

const SCHEMA_11: &str = "at schema 11 of a build before 0.1.0";

/// Brings the schema up to date, or prints what it would do.
///
/// # Errors
///
/// The database cannot be reached, belongs to another environment, or refuses a migration.
pub async fn run(args: MigrateArgs, ctx: Context) -> anyhow::Result<ExitCode> {
    if args.status || args.dry_run {
        let db = open_db_at(&ctx.config, ctx.config.database.session_url()?)?;
        let all = list_migrations(&db).await?;
        return print(&match get_carry_over_sql(&db).await? {
            Some(_) if args.status => {
                format!("{SCHEMA_11}, which the next `app migrate` carries over\n{}", status(&all))
            }
            Some(sql) => format!("-- {SCHEMA_11}\n{sql}"),
            None if args.status => status(&all),
            None => dry_run(&all),
        });
    }
    let target = connect_target(&ctx.config, ctx.config.database.session_url()?)?;
    let environment = ctx.config.environment.as_str();
    let build = ctx.build.to_string();
    let report = match migrate(&target, &ctx.runtime, environment, args.move_stamp.as_deref(), &build).await {
        Err(MigrateError::Environment { stamped, .. }) => {
            return Err(wrong_environment(&stamped, ctx.config.environment).into());
        }
        other => other?,
    };
    let mut text = String::new();
    if report.carried_over {
        text.push_str(&format!("{SCHEMA_11}: carried over\n"));
    }
    for name in &report.applied {
        text.push_str(&format!("applied {name}\n"));
    }
    text.push_str(if text.is_empty() {
        "the schema is up to date; nothing to do\n"
    } else {
        "the schema is up to date\n"
    });
    if let Some(from) = &args.move_stamp {
        tracing::warn!(moved_from = %from, moved_to = %environment, "the stamp of this database was moved from {from} to {environment}");
        text.push_str(&format!("moved the stamp of this database from {from} to {environment}\n"));
    }
    print(&text)
}

fn status(all: &[MigrationStatus]) -> String {
    all.iter()
        .map(|m| {
            let state = match (&m.applied_on, &m.sql) {
                (Some(when), Some(_)) if m.altered => format!("applied {when}, but its text was altered since"),
                (Some(when), Some(_)) => format!("applied {when}"),
                (Some(when), None) => format!("applied {when} by a newer build"),
                (None, _) => "pending".to_owned(),
            };
            format!("{}  {state}\n", m.name)
        })
        .collect()
}

fn dry_run(all: &[MigrationStatus]) -> String {
    let pending = all.iter().filter(|m| m.applied_on.is_none());
    let sql: String = pending.filter_map(|m| Some(format!("-- {}\n{}\n", m.name, m.sql.as_ref()?))).collect();
    if sql.is_empty() { "-- nothing to do\n".to_owned() } else { sql }
}

fn print(text: &str) -> anyhow::Result<ExitCode> {
    client::render::print(text)?;
    Ok(ExitCode::SUCCESS)
}
