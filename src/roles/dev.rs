//! `app dev`: the whole system on this machine, without any set-up.
//!
//! One process runs an embedded PostgreSQL, the migrations, the API and a worker with the settings for development. While
//! it runs, the data folder holds what clients need (`api.url`, `token`).

mod demo;
mod folder;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::sync::oneshot;

use super::{
    Context,
    api::build_state,
    fakes::Fakes,
    wiring::{build_housekeeping, build_worker, connect_target, listen_address, model, open_db, open_store},
    worker::wake_capped,
};
use crate::cli::{DevAction, DevArgs, FakeProvidersArgs};
use api::issue_token;
use client::dev_dir::{DATABASE_URL_FILE, dev_dir};
use config::{Config, Environment, Role, Sources};
use domain::{UserId, build_info::BuildInfo};
use embedded_postgres::{Cluster, ClusterOptions, Stopped, find_binaries};
use folder::DevFolder;
use pg::{databases::ensure_database, url::DatabaseUrl};
use store::migrations::migrate;

/// The owner of all documents of `app dev`. Always the same, so that the documents are there after a restart.
const DEV_USER: UserId = UserId(uuid::Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0001));
/// The database on the embedded server.
const DATABASE: &str = "app";
/// The database of documents that are processed with fakes of the providers: their vectors are of another model.
const DATABASE_OF_FAKES: &str = "app_fakes";
/// Between two looks whether the database still runs.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often in a row the database may fail to start again: sessions of a killed server may outlive it for a moment.
const STARTS: u32 = 15;

/// Runs, stops or resets this checkout's `app dev`.
///
/// # Errors
///
/// There is no PostgreSQL, the data folder cannot be used, or the port is taken; with `--once` also if a sample did not
/// become searchable.
pub fn run(args: DevArgs, sources: &Sources, build: &BuildInfo) -> anyhow::Result<ExitCode> {
    let sources = &sources.clone().with_default_environment(Environment::Development);
    let named = Config::load_lenient(Role::Dev, sources).0.client.dev_dir;
    let folder = DevFolder(dev_dir(named.as_deref()));
    match args.action {
        Some(DevAction::Stop) => client::run(stop(&folder)),
        Some(DevAction::Reset) => client::run(reset(&folder)),
        None => start(&args, &folder, sources, build),
    }
}

async fn stop(folder: &DevFolder) -> anyhow::Result<ExitCode> {
    folder.remove_client_files();
    let message = match embedded_postgres::stop_running(&folder.postgres()).await? {
        Stopped::Ended => "stopped",
        Stopped::WasNotRunning => "nothing was running",
        Stopped::InUse => "an `app dev` still runs; stop it with Ctrl-C, which also stops the database",
    };
    client::render::print(&format!("{message}\n"))?;
    Ok(ExitCode::SUCCESS)
}

async fn reset(folder: &DevFolder) -> anyhow::Result<ExitCode> {
    embedded_postgres::reset(&folder.postgres()).await?;
    folder.erase()?;
    client::render::print("erased the documents, the jobs and the database of this checkout's `app dev`\n")?;
    Ok(ExitCode::SUCCESS)
}

fn start(args: &DevArgs, folder: &DevFolder, sources: &Sources, build: &BuildInfo) -> anyhow::Result<ExitCode> {
    let ports = FakeProvidersArgs { embeddings_port: 0, llamaparse_port: 0 };
    let fakes = args.fake_providers.then(|| Fakes::start(sources, &ports)).transpose()?;
    let (database, storage) = match &fakes {
        Some(_) => (DATABASE_OF_FAKES, folder.storage_of_fakes()),
        None => (DATABASE, folder.storage()),
    };
    folder.create()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let cluster = runtime.block_on(start_postgres(folder))?;
    let url = cluster.url(database);
    let sources = match &fakes {
        Some(fakes) => fakes.apply(sources.clone()),
        None => sources.clone(),
    };
    let sources = sources
        .with_value("DATABASE_URL", &url)
        .with_value("DIRECT_URL", &url)
        .with_value("STORAGE_URL", storage.display().to_string())
        .with_value("SUPABASE_JWT_SECRET", folder.secret()?)
        .with_fallback("API_HOST", "127.0.0.1")
        .with_fallback("API_PORT", "0")
        .with_fallback("LOG_LEVEL", "warn")
        // Short, because a person waits. Unfinished jobs are handed back and continue at the next start.
        .with_fallback("WORKER_GRACE", "5");
    folder.write(DATABASE_URL_FILE, &url)?;
    let local = Local { folder, cluster: &cluster, database };
    let outcome = super::run(Role::Dev, &sources, build, |ctx| Box::pin(serve(ctx, local, args.once, fakes.as_ref())));
    folder.remove_client_files();
    let stopped = runtime.block_on(cluster.stop());
    runtime.shutdown_background();
    let outcome = outcome?;
    stopped?;
    Ok(outcome)
}

async fn start_postgres(folder: &DevFolder) -> anyhow::Result<Cluster> {
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut options = ClusterOptions::durable(folder.postgres());
    options.run_as = std::env::var("APP_DEV_PG_USER").ok();
    let cluster = Cluster::start_or_adopt(find_binaries(&env)?, options).await?;
    Ok(cluster)
}

/// What is on this machine.
#[derive(Clone, Copy)]
struct Local<'a> {
    folder: &'a DevFolder,
    cluster: &'a Cluster,
    /// The name of the database.
    database: &'static str,
}

async fn serve(ctx: Context, local: Local<'_>, once: bool, fakes: Option<&Fakes>) -> anyhow::Result<ExitCode> {
    let Local { folder, cluster, database } = local;
    prepare_database(&ctx, cluster, database).await?;
    if let Some(fakes) = fakes {
        client::render::print(&format!("{}\n", fakes.hint()))?;
    }
    let db = open_db(&ctx.config)?;
    let store = open_store(&ctx.config.storage)?;
    let model = model(&ctx.config, &db);
    // Fail now rather than at the first document: without the model no document becomes searchable.
    model.embedder().await?;
    let state = build_state(&ctx, db.clone(), Arc::clone(&store), Arc::clone(&model))?;
    wake_capped(&db).await;
    let housekeeping = build_housekeeping(&ctx.config, db.clone(), Arc::clone(&store));
    let worker = build_worker(&ctx, db, store, model, Arc::default())?;
    if !once {
        tokio::spawn(demo::print_when_stopping(ctx.stop.clone(), ctx.config.worker.grace));
    }
    let (on_bound, bound) = oneshot::channel();
    let address = listen_address(&ctx.config)?;
    let server = api::serve(state, address, move |address| {
        let _receiver_is_gone = on_bound.send(address);
    });
    let show = async {
        let Ok(address) = bound.await else {
            ctx.stop.cancel();
            return Ok(ExitCode::FAILURE);
        };
        let url = format!("http://{address}");
        // After a signal, neither call the stopped API nor report its errors.
        let shown = tokio::select! {
            shown = demo::show(&ctx, folder, cluster, &url, once) => Some(shown),
            () = ctx.stop.cancelled() => None,
        };
        let shown = shown.filter(|_| !ctx.stop.is_cancelled()).unwrap_or_else(|| interrupted(once));
        if once || shown.is_err() {
            ctx.stop.cancel();
        }
        shown
    };
    let (kept, served, (), (), shown) = tokio::join!(
        keep_database(&ctx, folder, cluster),
        server,
        worker.run(ctx.stop.clone()),
        housekeeping.run(ctx.stop.clone()),
        show
    );
    kept?;
    served?;
    shown
}

/// Starts the database again when it ends by itself. Where that cannot be done, stops everything and says why.
async fn keep_database(ctx: &Context, folder: &DevFolder, cluster: &Cluster) -> anyhow::Result<()> {
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    let keep = async {
        let mut failed = 0;
        loop {
            look.tick().await;
            if cluster.is_running() {
                continue;
            }
            anyhow::ensure!(folder.has_client_files(), "the database was stopped from outside, as by `app dev stop`");
            tracing::warn!("the database ended; starting it again");
            let again = match start_postgres(folder).await {
                Err(error) if failed < STARTS => {
                    failed += 1;
                    tracing::warn!("the database does not start yet: {error:#}");
                    continue;
                }
                started => started.context("the database ended, and does not start again")?,
            };
            failed = 0;
            anyhow::ensure!(
                again.url(DATABASE) == cluster.url(DATABASE),
                "the database ended, and has another address since it was started again; start `app dev` again"
            );
            tracing::warn!("the database runs again");
        }
    };
    match ctx.stop.run_until_cancelled(keep).await {
        Some(failed) => {
            ctx.stop.cancel();
            failed
        }
        None => Ok(()),
    }
}

/// The result of a start that a signal interrupted. The uploaded samples continue at the next start.
fn interrupted(once: bool) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(!once, "stopped before the samples were searchable");
    Ok(ExitCode::SUCCESS)
}

async fn prepare_database(ctx: &Context, cluster: &Cluster, database: &str) -> anyhow::Result<()> {
    let maintenance = DatabaseUrl::parse(&cluster.url("postgres"))?;
    ensure_database(&connect_target(&ctx.config, &maintenance)?, &ctx.runtime, database).await?;
    let target = connect_target(&ctx.config, ctx.config.database.session_url()?)?;
    migrate(&target, &ctx.runtime, ctx.config.environment.as_str(), None, &ctx.build.to_string())
        .await
        .context("couldn't bring the schema of the local database up to date; `app dev reset` erases it")?;
    Ok(())
}

/// A token for the one user, valid for 30 days.
fn token(ctx: &Context) -> anyhow::Result<String> {
    let secret = ctx.config.auth.jwt_secret.as_ref().context("app dev makes a secret of its own")?;
    let lifetime = Duration::from_secs(30 * 24 * 3600);
    Ok(issue_token(secret.expose().as_bytes(), DEV_USER, lifetime, &ctx.config.auth.audience)?)
}
