//! What every handler can reach.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use actix_web::{HttpRequest, web};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{
    http::{ApiError, PictureCache, Quota},
    settings::ApiSettings,
};
use domain::{
    build_info::BuildInfo,
    ports::{Estimator, ModelSource, ObjectStore, PagePictures, Reranker},
};
use pg::{Conn, Db, DbError, replica::Replica};
use search::VectorCache;
use signing_keys::KeySource;
use store::{
    Notifier,
    migrations::{SchemaState, get_environment_stamp, schema_state},
    questions::QuestionTally,
};

/// What every handler can reach. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    /// The database.
    pub db: Db,
    /// Where the bytes are kept.
    pub store: Arc<dyn ObjectStore>,
    /// For queries; while its model is missing, search goes by words only.
    pub model: Arc<dyn ModelSource>,
    /// Settings.
    pub settings: Arc<ApiSettings>,
    /// Which build this is.
    pub build: Arc<BuildInfo>,
    /// Set when the server stops: streams end then.
    pub stop: CancellationToken,
    /// Where users' public keys come from; `None`: tokens signed with such keys are refused.
    pub(crate) key_source: Option<Arc<dyn KeySource>>,
    /// The main runtime: what runs there outlives the request that began it.
    pub(crate) runtime: Handle,
    /// Tells workers that a job is due.
    pub(crate) notifier: Notifier,
    /// The memory of the bodies in hand, in bytes.
    pub(crate) bodies: Quota,
    /// Shows pages; `None`: no page is shown.
    pub(crate) pictures: Option<Arc<dyn PagePictures>>,
    /// Pages that are being drawn.
    pub(crate) drawing: Quota,
    /// Pages that were drawn.
    pub(crate) drawn: PictureCache,
    /// Says what files would cost; `None`: nothing does.
    pub(crate) estimator: Option<Arc<dyn Estimator>>,
    /// Requests that are estimated.
    pub(crate) estimating: Quota,
    /// Judges the best hits of searches; `None`: they keep their order.
    pub(crate) reranker: Option<Arc<dyn Reranker>>,
    /// Takes searches and lists while it is current.
    replica: Option<Arc<Replica>>,
    /// Packed vectors that searches have read.
    pub(crate) vectors: Arc<VectorCache>,
    /// Questions that a service was asked.
    pub(crate) questions: Arc<QuestionTally>,
    schema_is_current: Arc<AtomicBool>,
}

impl ApiState {
    /// The state of a server that stops with `stop`. To be called on the main runtime, which then stores what is
    /// uploaded, so that an HTTP worker's end takes no upload with it.
    pub fn new(
        db: Db,
        store: Arc<dyn ObjectStore>,
        model: Arc<dyn ModelSource>,
        settings: ApiSettings,
        build: BuildInfo,
        stop: CancellationToken,
    ) -> Self {
        Self {
            db,
            store,
            model,
            build: Arc::new(build),
            stop,
            runtime: Handle::current(),
            notifier: Notifier::default(),
            bodies: Quota::default(),
            key_source: None,
            pictures: None,
            estimator: None,
            estimating: Quota::default(),
            reranker: None,
            replica: None,
            drawing: Quota::default(),
            drawn: PictureCache::default(),
            vectors: Arc::new(VectorCache::new(usize::try_from(settings.http.search_cache).unwrap_or(usize::MAX))),
            questions: Arc::new(QuestionTally::new(settings.embed_prices.clone())),
            settings: Arc::new(settings),
            schema_is_current: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Shows pages of documents as `pictures` draws them.
    #[must_use]
    pub fn with_pictures(mut self, pictures: Arc<dyn PagePictures>) -> Self {
        self.pictures = Some(pictures);
        self
    }

    /// Has `estimator` say what files would cost.
    #[must_use]
    pub fn with_estimator(mut self, estimator: Arc<dyn Estimator>) -> Self {
        self.estimator = Some(estimator);
        self
    }

    /// Has `reranker` judge the best hits of searches.
    #[must_use]
    pub fn with_reranker(mut self, reranker: Arc<dyn Reranker>) -> Self {
        self.reranker = Some(reranker);
        self
    }

    /// Reads searches and lists from `replica` while it is current. Watches it until the server stops.
    #[must_use]
    pub fn with_replica(mut self, replica: Replica) -> Self {
        let replica = Arc::new(replica);
        self.replica = Some(Arc::clone(&replica));
        let (primary, stop) = (self.db.clone(), self.stop.clone());
        self.runtime.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = replica.watch(&primary) => {}
            }
        });
        self
    }

    /// Takes tokens that are signed with the keys of `source`, too.
    #[must_use]
    pub fn with_keys(mut self, source: Arc<dyn KeySource>) -> Self {
        self.key_source = Some(source);
        self
    }

    /// The state of the server that received `request`.
    pub(crate) fn of(request: &HttpRequest) -> Result<web::Data<Self>, ApiError> {
        let state = request.app_data::<web::Data<Self>>().cloned();
        state.ok_or_else(|| ApiError::internal("the application has no state"))
    }

    /// A connection to a schema that this build can work with. Once that was found it is not asked again: a schema
    /// only ever moves on.
    pub(crate) async fn conn(&self) -> Result<Conn, ApiError> {
        self.require_schema().await?;
        Ok(self.db.get().await?)
    }

    /// Reads from the replica if it is current, else, or if that fails, from the primary. For reads that may miss what was written
    /// within `READ_MAX_LAG`.
    pub(crate) async fn read<T>(&self, run: impl AsyncFn(&Db) -> Result<T, DbError>) -> Result<T, ApiError> {
        self.require_schema().await?;
        if let Some(replica) = &self.replica
            && let Some(db) = replica.current()
        {
            match run(db).await {
                Ok(read) => return Ok(read),
                Err(error) => {
                    replica.distrust();
                    tracing::warn!("a read failed at the replica and goes to the primary: {error}");
                }
            }
        }
        Ok(run(&self.db).await?)
    }

    /// Answers 503 while the schema is missing or behind.
    pub(crate) async fn require_schema(&self) -> Result<(), ApiError> {
        match self.schema_problem().await? {
            None => Ok(()),
            Some(reason) => Err(ApiError::schema_behind(reason)),
        }
    }

    /// What is wrong with the database for this build and environment, in a sentence.
    pub(crate) async fn schema_problem(&self) -> Result<Option<String>, DbError> {
        if self.schema_is_current.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let ours = &self.settings.environment;
        if let Some(stamped) = get_environment_stamp(&self.db).await?
            && stamped != *ours
        {
            return Ok(Some(format!(
                "This database belongs to {stamped}, this process to {ours}. Check DATABASE_URL and ENVIRONMENT."
            )));
        }
        Ok(match schema_state(&self.db).await? {
            SchemaState::Current => {
                self.schema_is_current.store(true, Ordering::Relaxed);
                None
            }
            SchemaState::Missing => Some("The database has no schema yet. Run `app migrate`.".to_owned()),
            SchemaState::Behind(pending) => Some(format!(
                "The database schema is behind this build: {} not applied. Run `app migrate`.",
                pending.join(", ")
            )),
        })
    }
}
