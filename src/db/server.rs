//! What the server says of itself.

use super::{DbError, Session, session::column};

/// Facts about the server and this login.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    /// `18.6`.
    pub version: String,
    /// `180006`.
    pub version_num: i32,
    /// The role.
    pub user: String,
    /// Version of pgvector in this database; `None`: not created.
    pub vector_version: Option<String>,
    /// Whether pgvector could be created.
    pub vector_available: bool,
}

/// Asks the server.
pub async fn get_server_facts(db: &impl Session) -> Result<ServerFacts, DbError> {
    let row = db
        .row(
            "-- get_server_facts
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS version_num,
  current_user::text AS user_name,
  (SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'vector') AS vector_version,
  EXISTS (SELECT FROM pg_available_extensions AS a WHERE a.name = 'vector') AS vector_available",
            &[],
        )
        .await?
        .ok_or_else(|| DbError::row("get_server_facts", &"no row"))?;
    Ok(ServerFacts {
        version: column(&row, "version")?,
        version_num: column(&row, "version_num")?,
        user: column(&row, "user_name")?,
        vector_version: column(&row, "vector_version")?,
        vector_available: column(&row, "vector_available")?,
    })
}
