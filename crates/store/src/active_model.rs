//! The model of this database's vectors. There is one row, from the first use of a model on.

use domain::ports::{EmbedModel, NamedModel};
use pg::{DbError, FromRow, Session};

/// The model whose vectors search reads and workers write.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ActiveModel {
    /// As in `embed_model`.
    pub model: String,
    /// As in `embed_version`.
    pub version: String,
    /// Components of a vector.
    pub vector_dim: i32,
    /// Who computes them: `local`, or a service.
    pub provider: String,
}

impl ActiveModel {
    /// The model by the names that rows store. How many tokens it reads is not stored.
    pub fn embed_model(&self) -> EmbedModel {
        let dim = usize::try_from(self.vector_dim).unwrap_or(0);
        EmbedModel { name: self.model.clone(), version: self.version.clone(), dim, max_tokens: 0 }
    }

    /// The same with who computes it, to have it made ready.
    pub fn named(&self) -> NamedModel {
        let EmbedModel { name, version, dim, .. } = self.embed_model();
        NamedModel { name, version, dim, provider: self.provider.clone() }
    }
}

impl std::fmt::Display for ActiveModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} version {}", self.model, self.version)
    }
}

/// The provider of a model that runs on this machine.
pub const LOCAL: &str = "local";

/// The active model; `None` before the first use of one.
pub async fn get_active_model(db: &impl Session) -> Result<Option<ActiveModel>, DbError> {
    db.find(
        "-- get_active_model
SELECT a.model, a.version, a.vector_dim, a.provider
FROM upload_pipeline.active_model AS a",
        &[],
    )
    .await
}

/// Makes `model`, which `provider` computes, the active one unless there is one. Returns the active one: of two processes that start on an empty
/// database, both get the same.
pub async fn claim_active_model(db: &impl Session, model: &EmbedModel, provider: &str) -> Result<ActiveModel, DbError> {
    db.one(
        "-- claim_active_model
INSERT INTO upload_pipeline.active_model AS a (model, version, vector_dim, provider)
VALUES ($1, $2, $3, $4)
ON CONFLICT (only_one) DO UPDATE
SET model = a.model
RETURNING a.model, a.version, a.vector_dim, a.provider",
        &[&model.name, &model.version, &i32::try_from(model.dim).unwrap_or(i32::MAX), &provider],
    )
    .await
}

/// Forgets the active model of a database without documents, so that `EMBED_MODEL` names it again.
pub async fn forget_unused_model(db: &impl Session) -> Result<u64, DbError> {
    db.run(
        "-- forget_unused_model
DELETE FROM upload_pipeline.active_model
WHERE NOT EXISTS (SELECT FROM upload_pipeline.documents)",
        &[],
    )
    .await
}
