//! Rows of a result as our own types.

use std::time::Duration;

use domain::{ChunkId, DocumentId, JobId, JudgementId, State, Status, UploadId, UserId, money::Cents};
use time::{OffsetDateTime, macros::datetime};
use tokio_postgres::{
    Row,
    row::RowIndex,
    types::{FromSql, Type},
};
use uuid::Uuid;

use super::DbError;

/// A Rust type that a column is read into.
pub trait Column: Sized {
    /// What the driver reads.
    type Raw: for<'a> FromSql<'a>;

    /// The value, or why it is none.
    fn from_raw(raw: Self::Raw) -> Result<Self, String>;
}

/// Reads a column of a row, by its name or its number.
pub fn column<T: Column>(row: &Row, index: impl RowIndex + std::fmt::Display) -> Result<T, DbError> {
    let place = index.to_string();
    let raw = row.try_get(index).map_err(|error| DbError::column(&place, &error))?;
    T::from_raw(raw).map_err(|error| DbError::column(&place, &error))
}

/// A Rust type that a row is read into. A struct derives it, and is read by the names of its fields. A single column and a
/// tuple are read by position.
pub trait FromRow: Sized {
    /// Reads the row.
    fn from_row(row: &Row) -> Result<Self, DbError>;
}

impl<T: Column> FromRow for T {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        column(row, 0)
    }
}

impl<A: Column, B: Column, C: Column> FromRow for (A, B, C) {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok((column(row, 0)?, column(row, 1)?, column(row, 2)?))
    }
}

impl<A: Column, B: Column> FromRow for (A, B) {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok((column(row, 0)?, column(row, 1)?))
    }
}

macro_rules! columns {
    ($($rust:ty: $raw:ty => $read:expr;)*) => {
        $(impl Column for $rust {
            type Raw = $raw;
            fn from_raw(raw: $raw) -> Result<Self, String> {
                let read: fn($raw) -> $rust = $read;
                Ok(read(raw))
            }
        })*
    };
}

columns! {
    bool: bool => |raw| raw;
    i16: i16 => |raw| raw;
    i32: i32 => |raw| raw;
    i64: i64 => |raw| raw;
    f32: f32 => |raw| raw;
    f64: f64 => |raw| raw;
    String: String => |raw| raw;
    Uuid: Uuid => |raw| raw;
    serde_json::Value: serde_json::Value => |raw| raw;
    ChunkId: Uuid => ChunkId;
    DocumentId: Uuid => DocumentId;
    JobId: Uuid => JobId;
    JudgementId: Uuid => JudgementId;
    // Billionths of a cent.
    Cents: i64 => Cents::from_nanos;
    UploadId: Uuid => UploadId;
    UserId: Uuid => UserId;
    OffsetDateTime: Timestamp => |raw| raw.0;
    // A number of seconds; one below zero is read as zero.
    Duration: f64 => |seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
}

/// Reads a text column and parses it into one of our own types.
#[macro_export]
macro_rules! read_as_text {
    ($($name:ident),*) => {
        $(impl $crate::Column for $name {
            type Raw = String;
            fn from_raw(raw: String) -> Result<Self, String> {
                raw.parse().map_err(|error| format!("{error}"))
            }
        })*
    };
}

read_as_text!(State, Status);

impl<T: Column> Column for Option<T> {
    type Raw = Option<T::Raw>;
    fn from_raw(raw: Self::Raw) -> Result<Self, String> {
        raw.map(T::from_raw).transpose()
    }
}

/// A `bytea`.
impl Column for Vec<u8> {
    type Raw = Vec<u8>;
    fn from_raw(raw: Self::Raw) -> Result<Self, String> {
        Ok(raw)
    }
}

impl<T: Column> Column for Vec<T> {
    type Raw = Vec<T::Raw>;
    fn from_raw(raw: Self::Raw) -> Result<Self, String> {
        raw.into_iter().map(T::from_raw).collect()
    }
}

/// A `timestamptz`, clamped to the years 1 to 9999: Postgres has years beyond both, and two infinities.
pub struct Timestamp(OffsetDateTime);

impl<'a> FromSql<'a> for Timestamp {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        const EPOCH: OffsetDateTime = datetime!(2000-01-01 00:00 UTC);
        const FIRST: OffsetDateTime = datetime!(0001-01-01 00:00 UTC);
        const LAST: OffsetDateTime = datetime!(9999-12-31 23:59:59 UTC);
        let since_epoch = time::Duration::microseconds(i64::from_be_bytes(raw.try_into()?));
        Ok(Self(EPOCH.saturating_add(since_epoch).clamp(FIRST, LAST)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}
