//! The groups that look at what is around the database: store, keys, providers, the API, a document's whole way.

use std::time::Duration;

use tokio::time::timeout;

use super::{Scene, api, auth, e2e, finding::Finding, own, providers, storage};
use canary::{self, Store};
use pg::{Db, DbError};
use store::migrations::{SchemaState, get_environment_stamp, schema_state};

/// Groups that do more with a database than without, and get along without.
const GROUPS: [&str; 2] = ["storage", "api"];
/// For the sweep: the store may be what is out of order.
const SWEEP_WITHIN: Duration = Duration::from_secs(5);

/// Looks at all of them at the same time, and then at the whole. `ground`: a database of this environment with the
/// schema of this build, or the check that says why there is none.
pub(super) async fn check(scene: &Scene<'_>, ground: Result<&Db, &'static str>) -> Vec<Finding> {
    let db = ground.ok();
    let mut findings = Vec::new();
    if scene.stop.is_cancelled() {
        return findings;
    }
    sweep(scene, db).await;
    let (storage, auth, providers, api, own) = tokio::join!(
        storage::check(scene, db),
        auth::check(scene),
        providers::check(scene),
        api::check(scene, db),
        own::check(scene),
    );
    for group in [storage, auth, providers, api, own] {
        findings.extend(group);
    }
    findings.extend(e2e::check(scene, ground).await);
    findings
}

/// Takes out what an earlier check that was killed has left. What it cannot do, a worker's housekeeping does.
async fn sweep(scene: &Scene<'_>, db: Option<&Db>) {
    if let (Some(db), Ok(store)) = (db, &scene.store) {
        drop(timeout(SWEEP_WITHIN, canary::sweep(db, &**store, Store::Perhaps)).await);
    }
}

/// A pool on the database, where these groups were asked for and it is one that they may write to; for a selection that
/// leaves the database's own checks out.
pub(super) async fn usable_database(scene: &Scene<'_>) -> Option<Db> {
    if !GROUPS.iter().any(|group| scene.options.selection.wants_group(group)) {
        return None;
    }
    let db = scene.open(scene.target(scene.config.database.url.as_ref()?).ok()?)?;
    is_usable(scene, &db).await.is_ok_and(|usable| usable).then_some(db)
}

async fn is_usable(scene: &Scene<'_>, db: &Db) -> Result<bool, DbError> {
    let stamp = get_environment_stamp(db).await?;
    Ok(stamp.as_deref() == Some(scene.config.environment.as_str()) && schema_state(db).await? == SchemaState::Current)
}
