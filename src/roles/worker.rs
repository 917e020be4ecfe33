//! `app worker`.

use std::process::ExitCode;

use super::{
    Context,
    usable::wait_until_usable,
    wiring::{WorkerParts, build_worker, model, open_db, open_store, start_listener},
};

/// Works until it is told to stop; waits for a database that it may use.
///
/// # Errors
///
/// What no waiting mends: the wrong environment, a storage URL that cannot be used.
pub async fn run(ctx: Context) -> anyhow::Result<ExitCode> {
    let db = open_db(&ctx.config)?;
    let store = open_store(&ctx.config.storage)?;
    if !wait_until_usable(&db, ctx.config.environment, &ctx.stop).await? {
        return Ok(ExitCode::SUCCESS);
    }
    let parts = WorkerParts { db, store, model: model(&ctx.config), wakeup: Some(start_listener(&ctx)?) };
    build_worker(&ctx, parts)?.run(ctx.stop.clone()).await;
    Ok(ExitCode::SUCCESS)
}
