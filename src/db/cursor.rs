//! Where a list goes on: behind the row that a page ended with.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use time::OffsetDateTime;
use uuid::Uuid;

/// The text is no cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor that a list gave out")]
pub struct BadCursor;

/// The key of the last row of a page: newest first, by (`created_at`, id).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Its `created_at`, to the microsecond, as Postgres keeps it.
    pub created_at: OffsetDateTime,
    /// Its id.
    pub id: Uuid,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.created_at.unix_timestamp_nanos().to_be_bytes());
        bytes[16..].copy_from_slice(self.id.as_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl std::str::FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let bytes =
            URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or(BadCursor)?;
        let (mut at, mut id) = ([0; 16], [0; 16]);
        at.copy_from_slice(&bytes[..16]);
        id.copy_from_slice(&bytes[16..]);
        let created_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from_be_bytes(at)).ok().ok_or(BadCursor)?;
        Ok(Self { created_at, id: Uuid::from_bytes(id) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_wire() {
        let cursor = Cursor { created_at: OffsetDateTime::now_utc(), id: Uuid::now_v7() };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let far = URL_SAFE_NO_PAD.encode([0x7f; 32]);
        for text in ["", "abc", "!!!!", "AAAA", far.as_str()] {
            assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text}");
        }
    }
}
