//! `app worker`.

mod probes;

use std::{process::ExitCode, sync::Arc};

use tokio_util::sync::CancellationToken;

use self::probes::{ProbeState, serve_probes};
use super::{
    Context,
    usable::wait_until_usable,
    wiring::{build_housekeeping, build_worker, model, open_db, open_store, probe_address},
};
use pg::Db;
use store::usage::wake_blocked_jobs;
use telemetry::readiness::Readiness;

/// Waits for a usable database and works until a signal. With a port it answers probes, from before the database is
/// reachable until the last job has ended.
///
/// # Errors
///
/// The environment is wrong, the storage URL cannot be used, or the port is taken.
pub async fn run(ctx: Context) -> anyhow::Result<ExitCode> {
    let db = open_db(&ctx.config)?;
    let readiness = Arc::<Readiness>::default();
    let Some(address) = probe_address(&ctx.config)? else { return work(&ctx, db, readiness).await };
    let ended = CancellationToken::new();
    let probes = ProbeState { db: db.clone(), build: ctx.build.clone(), readiness: Arc::clone(&readiness) };
    let server = serve_probes(probes, address, ended.clone());
    let work = async {
        let worked = work(&ctx, db, readiness).await;
        ended.cancel();
        worked
    };
    // The server fails only if the port is taken.
    let (worked, ()) = tokio::try_join!(work, server)?;
    Ok(worked)
}

/// The caps may be others than those that have stopped jobs for the day. If it fails, the jobs wait for the next one.
pub(super) async fn wake_capped(db: &Db) {
    let woken = async { wake_blocked_jobs(&db.get().await?).await };
    match woken.await {
        Ok(0) => {}
        Ok(jobs) => tracing::info!(jobs, "jobs that a cap of the day has stopped are due again"),
        Err(error) => tracing::warn!(error = %error, "couldn't look for jobs that a cap of the day has stopped"),
    }
}

async fn work(ctx: &Context, db: Db, readiness: Arc<Readiness>) -> anyhow::Result<ExitCode> {
    let store = open_store(&ctx.config.storage)?;
    if !wait_until_usable(&db, ctx.config.environment, &ctx.stop).await? {
        return Ok(ExitCode::SUCCESS);
    }
    wake_capped(&db).await;
    let housekeeping = build_housekeeping(&ctx.config, db.clone(), Arc::clone(&store));
    let model = model(&ctx.config, &db);
    let worker = build_worker(ctx, db, store, model, readiness)?;
    tokio::join!(worker.run(ctx.stop.clone()), housekeeping.run(ctx.stop.clone()));
    Ok(ExitCode::SUCCESS)
}
