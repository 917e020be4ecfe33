//! Where a list continues: after the last row of the page before.

use time::OffsetDateTime;
use uuid::Uuid;

/// The key of the last row of a page: newest first, by (`created_at`, id). A row never changes its key, so rows
/// inserted between two pages appear on neither, and no other row moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Its `created_at`, to the microsecond, as Postgres keeps it.
    pub created_at: OffsetDateTime,
    /// Its id.
    pub id: Uuid,
}

impl Cursor {
    /// Encodes the cursor as bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.created_at.unix_timestamp_nanos().to_be_bytes());
        bytes[16..].copy_from_slice(self.id.as_bytes());
        bytes
    }

    /// Decodes a cursor. `None`: the time is none that a row could have.
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        let (mut at, mut id) = ([0; 16], [0; 16]);
        at.copy_from_slice(&bytes[..16]);
        id.copy_from_slice(&bytes[16..]);
        let created_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from_be_bytes(at)).ok()?;
        // Postgres refuses the first years that this type knows.
        (created_at >= OffsetDateTime::UNIX_EPOCH).then_some(Self { created_at, id: Uuid::from_bytes(id) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_wire() {
        let cursor = Cursor { created_at: OffsetDateTime::now_utc(), id: Uuid::now_v7() };
        assert_eq!(Cursor::from_bytes(cursor.to_bytes()), Some(cursor));
    }

    #[test]
    fn a_time_that_no_row_has_is_no_cursor() {
        let cursor = |nanos: i128| {
            let mut bytes = [0; 32];
            bytes[..16].copy_from_slice(&nanos.to_be_bytes());
            Cursor::from_bytes(bytes)
        };
        assert!(cursor(0).is_some());
        for wrong in [-1, i128::MIN, i128::MAX, -377_705_116_800_000_000_000] {
            assert_eq!(cursor(wrong), None, "{wrong}");
        }
    }
}
