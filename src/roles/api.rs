//! `app api`.

use std::{process::ExitCode, sync::Arc};

use super::{
    Context,
    estimate::FileEstimator,
    usable::wait_until_usable,
    wiring::{
        estimating_parser, key_source, listen_address, model, open_db, open_store, page_renderer, replica, reranker,
    },
};
use api::{ApiSettings, ApiState};
use domain::ports::{ModelSource, ObjectStore};
use pg::Db;

/// Serves until a signal. It listens at once, and answers 503 until the database can be used.
///
/// # Errors
///
/// The environment is wrong, the port is taken, or the storage URL cannot be used.
pub async fn run(ctx: Context) -> anyhow::Result<ExitCode> {
    let db = open_db(&ctx.config)?;
    let store = open_store(&ctx.config.storage)?;
    let state = build_state(&ctx, db.clone(), store, model(&ctx.config, &db))?;
    let address = listen_address(&ctx.config)?;
    let server = api::serve(state, address, |_bound| {});
    let wait = async {
        let usable = wait_until_usable(&db, ctx.config.environment, &ctx.stop).await;
        if usable.is_err() {
            ctx.stop.cancel();
        }
        usable
    };
    let (served, usable) = tokio::join!(server, wait);
    usable?;
    served?;
    Ok(ExitCode::SUCCESS)
}

/// The API's state, from the settings.
pub(super) fn build_state(
    ctx: &Context,
    db: Db,
    store: Arc<dyn ObjectStore>,
    model: Arc<dyn ModelSource>,
) -> anyhow::Result<ApiState> {
    let settings = ApiSettings::new(&ctx.config)?;
    let pictures = Arc::new(page_renderer(&ctx.config.parser));
    let estimator = FileEstimator::new(&ctx.config, estimating_parser(&ctx.config.parser), None)?;
    let mut state = ApiState::new(db, store, model, settings, ctx.build.clone(), ctx.stop.clone())
        .with_pictures(pictures)
        .with_estimator(Arc::new(estimator));
    if let Some(reranker) = reranker(&ctx.config)? {
        state = state.with_reranker(reranker);
    }
    if let Some(replica) = replica(&ctx.config)? {
        state = state.with_replica(replica);
    }
    Ok(match key_source(&ctx.config)? {
        Some(source) => state.with_keys(source),
        None => state,
    })
}
