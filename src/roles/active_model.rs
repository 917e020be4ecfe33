//! The model that this database's vectors are of, found and made ready at first use: one in a folder, or one of a service.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use chunker::MarkdownChunker;
use config::EmbedProvider;
use domain::{
    Code, ErrorClass, Failure,
    ports::{Chunker, Embedder, ModelSource},
};
use embedder::{LocalModel, LocalModelOptions};
use pg::Db;
use providers::openai::{self, Dimension, OpenAi, OpenAiOptions};
use store::active_model::{ActiveModel, LOCAL, claim_active_model, get_active_model};

/// For so long a service that did not answer is not asked again for its model: each search would wait for it.
const REST: Duration = Duration::from_secs(5);

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

/// The model named by the row `active_model`. Without a row it is the model of the settings, which the first process to use
/// a model makes the active one. A process keeps its model until it ends.
pub(super) struct DatabaseModel {
    /// `None`, in a check, if no database is set.
    db: Option<Db>,
    options: ModelOptions,
    /// Whether a missing row is written. A check writes none, and takes the settings' model if it cannot read the row.
    writes: bool,
    model: OnceCell<Model>,
    /// The failure of a service, and when it may be asked again.
    rests: Mutex<Option<(Failure, Instant)>>,
}

/// A model that is ready.
enum Model {
    Local(LocalModel),
    Rented(Arc<OpenAi>),
}

impl DatabaseModel {
    /// For a role that uses the model. Reads nothing yet.
    pub fn new(db: Db, options: ModelOptions) -> Self {
        Self { db: Some(db), options, writes: true, model: OnceCell::new(), rests: Mutex::default() }
    }

    /// For a check.
    pub fn reading_only(db: Option<Db>, options: ModelOptions) -> Self {
        Self { db, options, writes: false, model: OnceCell::new(), rests: Mutex::default() }
    }

    async fn get(&self) -> Result<&Model, Failure> {
        self.model.get_or_try_init(|| self.find()).await
    }

    async fn find(&self) -> Result<Model, Failure> {
        if let Some(row) = self.row().await? {
            return self.load(row).await;
        }
        let configured = match self.options.provider {
            EmbedProvider::Local => Model::Local(LocalModel::new(self.options.local.clone())),
            EmbedProvider::OpenAi => {
                let dimension = Dimension::Wanted(self.options.dimensions);
                Model::Rented(self.rent(self.options.service.clone(), dimension).await?)
            }
        };
        let (true, Some(db)) = (self.writes, &self.db) else { return Ok(configured) };
        let embedder = configured.embedder().await?;
        let row = claim_active_model(&db.get().await?, embedder.model(), self.configured_provider()).await?;
        if self.is_configured(&row) { Ok(configured) } else { self.load(row).await }
    }

    async fn row(&self) -> Result<Option<ActiveModel>, Failure> {
        let Some(db) = &self.db else { return Ok(None) };
        let read = async { get_active_model(&db.get().await?).await };
        match read.await {
            Ok(row) => Ok(row),
            Err(_unreadable) if !self.writes => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn configured_provider(&self) -> &'static str {
        match self.options.provider {
            EmbedProvider::Local => LOCAL,
            EmbedProvider::OpenAi => openai::NAME,
        }
    }

    fn is_configured(&self, row: &ActiveModel) -> bool {
        let local = &self.options.local;
        (row.model.as_str(), row.version.as_str(), row.provider.as_str())
            == (&local.name, &local.version, self.configured_provider())
    }

    /// Makes the model of the row ready.
    async fn load(&self, row: ActiveModel) -> Result<Model, Failure> {
        if !self.is_configured(&row) {
            let local = &self.options.local;
            tracing::warn!(
                model = %row.model, version = %row.version, provider = %row.provider,
                "EMBED_MODEL is {} version {} ({}), but this database's vectors are of {} version {} ({}), which is used",
                local.name, local.version, self.configured_provider(), row.model, row.version, row.provider
            );
        }
        if row.provider == LOCAL { self.load_local(row).await.map(Model::Local) } else { self.load_rented(row).await }
    }

    async fn load_local(&self, row: ActiveModel) -> Result<LocalModel, Failure> {
        let options = LocalModelOptions { name: row.model, version: row.version, ..self.options.local.clone() };
        let name = options.name.clone();
        let model = LocalModel::new(options);
        let dim = model.embedder().await?.model().dim;
        if i32::try_from(dim) == Ok(row.vector_dim) {
            return Ok(model);
        }
        let message = format!(
            "The folder of {name} holds a model of {dim} components, but this database's vectors of that name have {}. \
             Put the right model into the folder; a model of another kind needs a name of its own.",
            row.vector_dim
        );
        Err(Failure::new(Code::ModelDimension, message))
    }

    async fn load_rented(&self, row: ActiveModel) -> Result<Model, Failure> {
        let dimension = Dimension::Stored(usize::try_from(row.vector_dim).unwrap_or(0));
        let options = OpenAiOptions { model: row.model, version: row.version, ..self.options.service.clone() };
        Ok(Model::Rented(self.rent(options, dimension).await?))
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
        let rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((failure, _)) = rests.filter(|(_, until)| Instant::now() < *until) {
            return Err(failure);
        }
        let model = options.model.clone();
        match OpenAi::connect(options, dimension).await {
            Ok(service) => {
                tracing::info!(model, dim = service.model().dim, "the embedding model is one of a service");
                Ok(Arc::new(service))
            }
            Err(failure) => {
                let failure = Failure { class: ErrorClass::Configuration, ..failure };
                let rests = Some((failure.clone(), Instant::now() + REST));
                *self.rests.lock().unwrap_or_else(PoisonError::into_inner) = rests;
                Err(failure)
            }
        }
    }

    /// Whether the model is one of a service, which need not answer for this.
    async fn is_rented(&self) -> Result<bool, Failure> {
        if let Some(model) = self.model.get() {
            return Ok(matches!(model, Model::Rented(_)));
        }
        Ok(match self.row().await? {
            Some(row) => row.provider != LOCAL,
            None => self.options.provider == EmbedProvider::OpenAi,
        })
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
        match self.get().await? {
            Model::Local(local) => local.chunker().await,
            Model::Rented(_) => Ok(Arc::new(MarkdownChunker::new(usize::MAX)?)),
        }
    }
}
