//! `app usage --all`: what was bought for every user, from the database. Without `--all` it asks the API for the caller.

use std::process::ExitCode;

use super::{Context, usable::refuse_wrong_environment, wiring::open_db};
use api::usage_of_day;
use client::args::UsageArgs;
use messages::Usage;
use store::usage::{Days, list_usage};

/// More rows than anyone reads; a program asks for fewer days.
const MOST_ROWS: i64 = 100_000;

/// Prints what was bought for all users.
///
/// # Errors
///
/// The database cannot be reached, belongs to another environment, or does not read the days.
pub async fn run(args: UsageArgs, ctx: Context) -> anyhow::Result<ExitCode> {
    let db = open_db(&ctx.config)?;
    refuse_wrong_environment(&db, ctx.config.environment).await?;
    let days = Days { from: args.from.as_deref(), to: args.to.as_deref() };
    let rows = list_usage(&db.get().await?, None, days, MOST_ROWS).await?;
    client::usage::show(&Usage::of(rows.into_iter().map(|row| usage_of_day(row, true)).collect(), None), args.json)?;
    Ok(ExitCode::SUCCESS)
}
