//! Facts about the server and the role that is logged in.

use super::{DbError, FromRow, Session};

/// Facts about the server and the role that is logged in.
#[derive(Debug, Clone, FromRow)]
pub struct ServerFacts {
    /// `18.6`.
    pub version: String,
    /// `180006`.
    pub version_num: i32,
    /// The name of the role.
    pub user: String,
    /// Version of pgvector in this database; `None` if the extension is not created.
    pub vector_version: Option<String>,
    /// Whether the server has pgvector, so that the extension can be created.
    pub vector_available: bool,
    /// How many connections the server gives to roles without special rights.
    pub usable_connections: i32,
    /// Whether row-level security never applies to this role: it is a superuser or has BYPASSRLS.
    pub bypasses_row_security: bool,
    /// Why nothing can be written; `None` if writing is possible.
    pub read_only: Option<String>,
}

/// Asks the server for [`ServerFacts`].
pub async fn get_server_facts(db: &impl Session) -> Result<ServerFacts, DbError> {
    db.one(
        "-- get_server_facts
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS version_num,
  current_user::text AS user,
  (SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'vector') AS vector_version,
  EXISTS (SELECT FROM pg_available_extensions AS a WHERE a.name = 'vector') AS vector_available,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0) AS usable_connections,
  coalesce((SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles AS r WHERE r.rolname = current_user), false)
    AS bypasses_row_security,
  CASE
    WHEN pg_is_in_recovery() THEN 'this server is a replica (in recovery)'
    WHEN current_setting('transaction_read_only')::boolean THEN 'transactions are read-only (default_transaction_read_only)'
  END AS read_only",
        &[],
    )
    .await
}

/// The server's time, in seconds since 1970-01-01 UTC.
pub async fn get_server_time(db: &impl Session) -> Result<f64, DbError> {
    db.one("-- get_server_time\nSELECT extract(epoch FROM clock_timestamp())::float8 AS seconds", &[]).await
}

/// Lists the tables of `schema` that another role owns, so that row-level security applies to this role.
pub async fn list_tables_of_others(db: &impl Session, schema: &str) -> Result<Vec<String>, DbError> {
    db.list(
        "-- list_tables_of_others
SELECT c.relname::text AS name
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relrowsecurity AND NOT pg_has_role(c.relowner, 'USAGE')
ORDER BY c.relname",
        &[&schema],
    )
    .await
}
