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

/// The indexes of a schema, as far as something may be wrong with them.
#[derive(Debug, Clone, FromRow)]
pub struct IndexFacts {
    /// HNSW indexes.
    pub hnsw: Vec<String>,
    /// Indexes that are not complete.
    pub invalid: Vec<String>,
    /// Pairs that are the same but for their names: `a and b`.
    pub duplicate: Vec<String>,
}

/// Reads the indexes of `schema`.
pub async fn get_index_facts(db: &impl Session, schema: &str) -> Result<IndexFacts, DbError> {
    db.one(
        "-- get_index_facts
WITH indexes AS (
  SELECT i.oid, i.relname::text AS name, a.amname = 'hnsw' AS is_hnsw, x.indisvalid AND x.indisready AS is_complete,
    x.indrelid, x.indisunique, split_part(pg_get_indexdef(i.oid), ' USING ', 2) AS definition
  FROM pg_index AS x
  JOIN pg_class AS i ON i.oid = x.indexrelid
  JOIN pg_am AS a ON a.oid = i.relam
  JOIN pg_namespace AS n ON n.oid = i.relnamespace
  WHERE n.nspname = $1
)
SELECT
  ARRAY(SELECT x.name FROM indexes AS x WHERE x.is_hnsw ORDER BY x.name) AS hnsw,
  ARRAY(SELECT x.name FROM indexes AS x WHERE NOT x.is_complete ORDER BY x.name) AS invalid,
  ARRAY(
    SELECT x.name || ' and ' || y.name
    FROM indexes AS x
    JOIN indexes AS y ON (y.indrelid, y.indisunique, y.definition) = (x.indrelid, x.indisunique, x.definition) AND x.name < y.name
    WHERE x.is_complete AND y.is_complete
    ORDER BY 1
  ) AS duplicate",
        &[&schema],
    )
    .await
}

/// How much of a table vacuum has seen to be visible to all.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct PageFacts {
    /// Pages of the table.
    pub pages: i64,
    /// Those of them that an index may be read without.
    pub visible: i64,
}

/// Reads the pages of a table.
pub async fn get_page_facts(db: &impl Session, schema: &str, table: &str) -> Result<PageFacts, DbError> {
    db.one(
        "-- get_page_facts
SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint AS pages, c.relallvisible::bigint AS visible
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2",
        &[&schema, &table],
    )
    .await
}

/// Settings of the role and the database that can break statements.
#[derive(Debug, Clone, FromRow)]
pub struct SessionSettings {
    /// After this many milliseconds a statement is cancelled; `0`: never.
    pub statement_timeout_ms: i64,
    /// Where names without a schema are looked up.
    pub search_path: String,
    /// Whether the type `vector` is found there.
    pub finds_vector: bool,
    /// The schema of pgvector; empty if it is not created.
    pub vector_schema: String,
}

/// Reads the settings of this session.
pub async fn get_session_settings(db: &impl Session) -> Result<SessionSettings, DbError> {
    db.one(
        "-- get_session_settings
SELECT (SELECT s.setting::bigint FROM pg_settings AS s WHERE s.name = 'statement_timeout') AS statement_timeout_ms,
  current_setting('search_path') AS search_path, to_regtype('vector') IS NOT NULL AS finds_vector,
  coalesce((SELECT n.nspname::text FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname = 'vector'), '') AS vector_schema",
        &[],
    )
    .await
}

/// A replication slot without a consumer.
#[derive(Debug, Clone, FromRow)]
pub struct IdleSlot {
    /// Its name.
    pub name: String,
    /// Bytes of write-ahead log that the server keeps for it.
    pub kept_bytes: i64,
}

/// Lists the replication slots that keep log or dead rows for a consumer that is not connected.
pub async fn list_idle_slots(db: &impl Session) -> Result<Vec<IdleSlot>, DbError> {
    db.list(
        "-- list_idle_slots
SELECT s.slot_name::text AS name,
  CASE WHEN pg_is_in_recovery() THEN 0 ELSE coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0)::bigint END AS kept_bytes
FROM pg_replication_slots AS s
WHERE NOT s.active AND NOT s.temporary AND (s.restart_lsn IS NOT NULL OR s.xmin IS NOT NULL OR s.catalog_xmin IS NOT NULL)
ORDER BY kept_bytes DESC, name",
        &[],
    )
    .await
}
