//! The local model that this database's vectors are of, found and loaded at first use.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use domain::{
    Code, Failure,
    ports::{Chunker, Embedder, ModelSource},
};
use embedder::{LocalModel, LocalModelOptions};
use pg::Db;
use store::active_model::{ActiveModel, claim_active_model, get_active_model};

/// The model named by the row `active_model`. Without a row it is the model of the settings, which the first process to use
/// a model makes the active one. A process keeps its model until it ends.
pub(super) struct DatabaseModel {
    /// `None`, in a check, if no database is set.
    db: Option<Db>,
    options: LocalModelOptions,
    /// Whether a missing row is written. A check writes none, and takes the settings' model if it cannot read the row.
    writes: bool,
    model: OnceCell<LocalModel>,
}

impl DatabaseModel {
    /// For a role that uses the model. Reads nothing yet.
    pub fn new(db: Db, options: LocalModelOptions) -> Self {
        Self { db: Some(db), options, writes: true, model: OnceCell::new() }
    }

    /// For a check.
    pub fn reading_only(db: Option<Db>, options: LocalModelOptions) -> Self {
        Self { db, options, writes: false, model: OnceCell::new() }
    }

    async fn get(&self) -> Result<&LocalModel, Failure> {
        self.model.get_or_try_init(|| self.find()).await
    }

    async fn find(&self) -> Result<LocalModel, Failure> {
        if let Some(row) = self.row().await? {
            return self.load(row).await;
        }
        let configured = LocalModel::new(self.options.clone());
        let (true, Some(db)) = (self.writes, &self.db) else { return Ok(configured) };
        let embedder = configured.embedder().await?;
        let row = claim_active_model(&db.get().await?, embedder.model()).await?;
        if (&row.model, &row.version) == (&self.options.name, &self.options.version) {
            return Ok(configured);
        }
        self.load(row).await
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

    /// Loads the model of the row.
    async fn load(&self, row: ActiveModel) -> Result<LocalModel, Failure> {
        if (&row.model, &row.version) != (&self.options.name, &self.options.version) {
            tracing::warn!(
                model = %row.model, version = %row.version,
                "EMBED_MODEL is {} version {}, but this database's vectors are of {} version {}, which is used",
                self.options.name, self.options.version, row.model, row.version
            );
        }
        let options = LocalModelOptions { name: row.model, version: row.version, ..self.options.clone() };
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
}

#[async_trait]
impl ModelSource for DatabaseModel {
    async fn embedder(&self) -> Result<Arc<dyn Embedder>, Failure> {
        self.get().await?.embedder().await
    }

    async fn chunker(&self) -> Result<Arc<dyn Chunker>, Failure> {
        self.get().await?.chunker().await
    }
}
