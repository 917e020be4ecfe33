//! The models that this database's vectors are of, found and made ready at first use: one in a folder, or one of a service.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use chunker::MarkdownChunker;
use config::EmbedProvider;
use domain::{
    Code, ErrorClass, Failure,
    ports::{Chunker, Embedder, ModelSource, NamedModel},
};
use embedder::{LocalModel, LocalModelOptions};
use pg::Db;
use providers::openai::{self, Dimension, OpenAi, OpenAiOptions};
use store::active_model::{ActiveModel, LOCAL, claim_active_model, get_active_model};

/// For so long a service that did not answer is not asked again for its model: each search would wait for it.
const REST: Duration = Duration::from_secs(5);
/// How soon a process follows a change of the active model. A look is one small statement.
pub(super) const FOLLOWS: Duration = Duration::from_secs(2);
/// A model that is not the active one is kept in memory for so long after its last use.
const FORGETS: Duration = Duration::from_secs(60);

/// The settings of all models.
#[derive(Clone)]
pub(super) struct ModelOptions {
    /// What computes the first vectors of a database.
    pub provider: EmbedProvider,
    /// The name and version of the settings, and where models of this machine are.
    pub local: LocalModelOptions,
    /// The service, for the same name and version.
    pub service: OpenAiOptions,
    /// The dimension that a service's first vectors shall have.
    pub dimensions: Option<usize>,
    /// Whether what the service needs is set: OpenAI wants a key.
    pub can_ask_service: bool,
}

/// The models of a database's vectors. The active one is named by the row `active_model`; without a row it is the model of the
/// settings, which the first process to use a model makes the active one. The row is read again every [`FOLLOWS`], so that a process
/// follows a change of model. A model is made ready at its first use, and forgotten when it was not used for [`FORGETS`].
pub(super) struct DatabaseModel {
    /// `None`, in a check, if no database is set.
    db: Option<Db>,
    options: ModelOptions,
    /// Whether a missing row is written. A check writes none, and takes the settings' model if it cannot read the row.
    writes: bool,
    /// The row, and when it was read.
    seen: Mutex<Option<(ActiveModel, Instant)>>,
    models: Mutex<HashMap<NamedModel, Slot>>,
    /// The model of the settings, until there is a row.
    configured: OnceCell<Arc<Model>>,
}

/// Where a model is made ready.
#[derive(Clone)]
struct Slot {
    model: Arc<OnceCell<Arc<Model>>>,
    used: Instant,
    /// The failure of a service, and when it may be asked again.
    rests: Option<(Failure, Instant)>,
}

/// A model that is ready.
enum Model {
    Local(LocalModel),
    Rented(Arc<OpenAi>),
}

impl DatabaseModel {
    /// For a role that uses the model. Reads nothing yet.
    pub fn new(db: Db, options: ModelOptions) -> Self {
        Self::with(Some(db), options, true)
    }

    /// For a check.
    pub fn reading_only(db: Option<Db>, options: ModelOptions) -> Self {
        Self::with(db, options, false)
    }

    fn with(db: Option<Db>, options: ModelOptions, writes: bool) -> Self {
        Self { db, options, writes, seen: Mutex::default(), models: Mutex::default(), configured: OnceCell::new() }
    }

    /// The active model, ready.
    async fn get(&self) -> Result<Arc<Model>, Failure> {
        match self.row().await? {
            Some(row) => self.ready(&row.named()).await,
            None => self.configured.get_or_try_init(|| self.find()).await.cloned(),
        }
    }

    /// The model of the settings, for a database without a row.
    async fn find(&self) -> Result<Arc<Model>, Failure> {
        let configured = Arc::new(match self.options.provider {
            EmbedProvider::Local => Model::Local(LocalModel::new(self.options.local.clone())),
            EmbedProvider::OpenAi => {
                let dimension = Dimension::Wanted(self.options.dimensions);
                Model::Rented(self.rent(self.options.service.clone(), dimension).await?)
            }
        });
        let (true, Some(db)) = (self.writes, &self.db) else { return Ok(configured) };
        let embedder = configured.embedder().await?;
        let row = claim_active_model(&db.get().await?, embedder.model(), self.configured_provider()).await?;
        if !self.is_configured(&row.named()) {
            return self.ready(&row.named()).await;
        }
        let slot = Slot {
            model: Arc::new(OnceCell::new_with(Some(Arc::clone(&configured)))),
            used: Instant::now(),
            rests: None,
        };
        self.slots().insert(row.named(), slot);
        Ok(configured)
    }

    /// The row as it was [`FOLLOWS`] ago at most, or at the last look while one is on its way or the database does not answer; `None`:
    /// there is none yet.
    async fn row(&self) -> Result<Option<ActiveModel>, Failure> {
        let Some(db) = &self.db else { return Ok(None) };
        let (seen, is_due) = match &mut *self.seen() {
            Some((row, at)) if at.elapsed() < FOLLOWS => (Some(row.clone()), false),
            Some((row, at)) => {
                // Others go on by this row meanwhile.
                *at = Instant::now();
                (Some(row.clone()), true)
            }
            None => (None, true),
        };
        if !is_due {
            return Ok(seen);
        }
        let read = async { get_active_model(&db.get().await?).await };
        match (read.await, seen) {
            (Ok(Some(row)), seen) => {
                self.forget_unused(&row);
                if seen.is_some_and(|before| before != row) {
                    tracing::info!(model = %row.model, version = %row.version, "another embedding model is the active one");
                }
                *self.seen() = Some((row.clone(), Instant::now()));
                Ok(Some(row))
            }
            (Ok(None), _) => Ok(None),
            (Err(_), Some(seen)) => Ok(Some(seen)),
            (Err(_unreadable), None) if !self.writes => Ok(None),
            (Err(error), None) => Err(error.into()),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Option<(ActiveModel, Instant)>> {
        // Each change leaves it whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<NamedModel, Slot>> {
        // Each change leaves the map whole.
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_unused(&self, active: &ActiveModel) {
        let active = active.named();
        self.slots().retain(|model, slot| *model == active || slot.used.elapsed() < FORGETS);
    }

    /// The model, made ready at its first use by one caller while others wait.
    async fn ready(&self, model: &NamedModel) -> Result<Arc<Model>, Failure> {
        let slot = {
            let mut slots = self.slots();
            let slot = slots.entry(model.clone()).or_insert_with(Slot::empty);
            slot.used = Instant::now();
            slot.clone()
        };
        if let Some((failure, until)) = slot.rests
            && slot.model.get().is_none()
            && Instant::now() < until
        {
            return Err(failure);
        }
        let loaded = slot.model.get_or_try_init(|| async { self.load(model).await.map(Arc::new) }).await.cloned();
        if let Err(failure) = &loaded
            && model.provider != LOCAL
            && let Some(slot) = self.slots().get_mut(model)
        {
            slot.rests = Some((failure.clone(), Instant::now() + REST));
        }
        loaded
    }

    fn configured_provider(&self) -> &'static str {
        match self.options.provider {
            EmbedProvider::Local => LOCAL,
            EmbedProvider::OpenAi => openai::NAME,
        }
    }

    fn is_configured(&self, model: &NamedModel) -> bool {
        let local = &self.options.local;
        (model.name.as_str(), model.version.as_str(), model.provider.as_str())
            == (&local.name, &local.version, self.configured_provider())
    }

    /// Makes a model ready.
    async fn load(&self, model: &NamedModel) -> Result<Model, Failure> {
        if !self.is_configured(model) {
            let local = &self.options.local;
            tracing::warn!(
                model = %model.name, version = %model.version, provider = %model.provider,
                "EMBED_MODEL is {} version {} ({}), but this database has vectors of {} version {} ({}), which is used",
                local.name, local.version, self.configured_provider(), model.name, model.version, model.provider
            );
        }
        if model.provider == LOCAL {
            self.load_local(model).await.map(Model::Local)
        } else {
            self.load_rented(model).await
        }
    }

    async fn load_local(&self, model: &NamedModel) -> Result<LocalModel, Failure> {
        let NamedModel { name, version, .. } = model.clone();
        let local = LocalModel::new(LocalModelOptions { name, version, ..self.options.local.clone() });
        if local.embedder().await?.model().dim == model.dim {
            return Ok(local);
        }
        let message = format!(
            "The folder of {} holds a model of {} components, but this database's vectors of that name have {}. \
             Put the right model into the folder; a model of another kind needs a name of its own.",
            model.name,
            local.embedder().await?.model().dim,
            model.dim
        );
        Err(Failure::new(Code::ModelDimension, message))
    }

    async fn load_rented(&self, model: &NamedModel) -> Result<Model, Failure> {
        let options =
            OpenAiOptions { model: model.name.clone(), version: model.version.clone(), ..self.options.service.clone() };
        Ok(Model::Rented(self.rent(options, Dimension::Stored(model.dim)).await?))
    }

    /// Makes a model ready that is to become the active one, of which no vectors are stored yet. It is tried by one word if it is a service's.
    ///
    /// # Errors
    ///
    /// The folder is missing or holds something else, or the service refuses.
    pub async fn try_new(
        &self,
        provider: EmbedProvider,
        name: &str,
        version: &str,
        dimensions: Option<usize>,
    ) -> Result<Arc<dyn Embedder>, Failure> {
        let (name, version) = (name.to_owned(), version.to_owned());
        match provider {
            EmbedProvider::Local => {
                LocalModel::new(LocalModelOptions { name, version, ..self.options.local.clone() }).embedder().await
            }
            EmbedProvider::OpenAi => {
                let options = OpenAiOptions { model: name, version, ..self.options.service.clone() };
                Ok(self.rent(options, Dimension::Wanted(dimensions)).await?)
            }
        }
    }

    /// A model of the service. While the service does not answer, the worker claims nothing, as without a model's folder.
    async fn rent(&self, options: OpenAiOptions, dimension: Dimension) -> Result<Arc<OpenAi>, Failure> {
        if !self.options.can_ask_service {
            let message = format!(
                "The vectors of this database are of {}, a model of a service. Set OPENAI_API_KEY, or OPENAI_API_URL for a \
                 service of your own.",
                options.model
            );
            return Err(Failure::new(Code::EmbedServiceNotSet, message));
        }
        let model = options.model.clone();
        match OpenAi::connect(options, dimension).await {
            Ok(service) => {
                tracing::info!(model, dim = service.model().dim, "the embedding model is one of a service");
                Ok(Arc::new(service))
            }
            Err(failure) => Err(Failure { class: ErrorClass::Configuration, ..failure }),
        }
    }

    /// Whether the model is one of a service, which need not answer for this.
    async fn is_rented(&self) -> Result<bool, Failure> {
        Ok(match self.row().await? {
            Some(row) => row.provider != LOCAL,
            None => self.options.provider == EmbedProvider::OpenAi,
        })
    }
}

impl Slot {
    fn empty() -> Self {
        Self { model: Arc::default(), used: Instant::now(), rests: None }
    }
}

impl Model {
    async fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure> {
        match self {
            Self::Local(local) => local.embedder().await,
            Self::Rented(service) => Ok(Arc::<OpenAi>::clone(service)),
        }
    }
}

#[async_trait]
impl ModelSource for DatabaseModel {
    async fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure> {
        self.get().await?.embedder().await
    }

    /// Passages have the same size for every model, so that another model finds them as they are.
    async fn chunker(&self) -> Result<Arc<dyn Chunker>, Failure> {
        if self.is_rented().await? {
            return Ok(Arc::new(MarkdownChunker::new(usize::MAX)?));
        }
        match &*self.get().await? {
            Model::Local(local) => local.chunker().await,
            Model::Rented(_) => Ok(Arc::new(MarkdownChunker::new(usize::MAX)?)),
        }
    }
    async fn embedder_of(&self, model: &NamedModel) -> Result<Arc<dyn Embedder>, Failure> {
        self.ready(model).await?.embedder().await
    }
}
