//! The shape of the schema in the server's catalog: what all migrations together make, and how a database differs from it.

use pg::{DbError, Session};

/// The shape that this build's migrations make, one line for each object; a test keeps it true.
const EXPECTED: &str = include_str!("shape.txt");

/// How a database differs from what this build's migrations make. Further objects do no harm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShapeDifference {
    /// Missing objects, as `kind name`.
    pub missing: Vec<String>,
    /// Changed objects: `kind name: how it is, not how it should be`.
    pub changed: Vec<String>,
}

/// Reads the shape of the schema: a line `kind name = text` for each object, in order. A constraint that is not
/// validated counts as the same, since adopted databases have some. What [`migrations`](crate::migrations) drops once it is
/// replaced, the column `tsv` and its index, may be there or not.
pub async fn read_shape(db: &impl Session) -> Result<Vec<String>, DbError> {
    db.list(
        "-- read_shape
WITH tables AS (
  SELECT c.oid, c.relname::text AS name, c.relrowsecurity
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname <> 'schema_history'
)
SELECT things.line
FROM (
  SELECT 'table ' || t.name || ' = ' || CASE WHEN t.relrowsecurity THEN 'row security' ELSE 'open' END AS line
  FROM tables AS t
  UNION ALL
  SELECT 'column ' || t.name || '.' || a.attname || ' = ' || format_type(a.atttypid, a.atttypmod)
    || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
  FROM tables AS t
  JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE a.attname <> 'tsv'
  UNION ALL
  SELECT 'constraint ' || t.name || '.' || k.conname || ' = '
    || regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '')
  FROM tables AS t
  JOIN pg_constraint AS k ON k.conrelid = t.oid AND k.contype IN ('c', 'f', 'u', 'p')
  UNION ALL
  SELECT 'index ' || t.name || '.' || i.relname || ' = ' || CASE WHEN x.indisvalid THEN '' ELSE 'invalid ' END
    || regexp_replace(pg_get_indexdef(x.indexrelid), '^.* USING ', '')
  FROM tables AS t
  JOIN pg_index AS x ON x.indrelid = t.oid
  JOIN pg_class AS i ON i.oid = x.indexrelid
  WHERE i.relname <> 'ix_document_chunks_tsv'
  UNION ALL
  SELECT 'trigger ' || t.name || '.' || g.tgname || ' = ' || CASE WHEN g.tgenabled = 'D' THEN 'disabled' ELSE 'enabled' END
  FROM tables AS t
  JOIN pg_trigger AS g ON g.tgrelid = t.oid AND NOT g.tgisinternal
  UNION ALL
  SELECT 'function ' || f.proname || '(' || pg_get_function_identity_arguments(f.oid) || ') = ' || md5(f.prosrc)
  FROM pg_proc AS f
  JOIN pg_namespace AS n ON n.oid = f.pronamespace
  WHERE n.nspname = $1
) AS things
ORDER BY things.line COLLATE \"C\"",
        &[&crate::SCHEMA],
    )
    .await
}

/// Compares the database with what this build's migrations make.
pub async fn compare_shape(db: &impl Session) -> Result<ShapeDifference, DbError> {
    let there = read_shape(db).await?;
    Ok(difference(EXPECTED, &there))
}

fn difference(expected: &str, there: &[String]) -> ShapeDifference {
    let mut difference = ShapeDifference::default();
    let found = |name: &str| there.iter().filter_map(|line| line.split_once(" = ")).find(|(thing, _)| *thing == name);
    for line in expected.lines() {
        let Some((name, should_be)) = line.split_once(" = ") else { continue };
        match found(name) {
            None => difference.missing.push(name.to_owned()),
            Some((_, is)) if is != should_be => {
                difference.changed.push(format!("{name}: {is}, not {should_be}"));
            }
            Some(_) => {}
        }
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_is_changed_is_told_and_what_is_more_is_not() {
        let expected = "column a.x = integer\ncolumn a.y = text\ntable a = row security\n";
        let there = ["column a.x = bigint", "column a.z = text", "table a = row security"].map(str::to_owned);
        let found = difference(expected, &there);
        assert_eq!(found.missing, ["column a.y"]);
        assert_eq!(found.changed, ["column a.x: bigint, not integer"]);
    }
}
