//! Parameters of a statement. The Rust type of a value decides its SQL type, so that the server need not be asked for it.

use std::net::IpAddr;

use time::OffsetDateTime;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

/// The parameters of a statement: `&[&user.0, &limit]`.
pub type Params<'a> = &'a [&'a dyn Param];

/// A Rust type that has one SQL type.
pub trait SqlType {
    /// The SQL type.
    const TYPE: Type;
    /// The array of it.
    const ARRAY: Type;
}

/// A value that a statement takes.
pub trait Param: Sync {
    /// The value with its SQL type, as the driver wants it.
    fn typed(&self) -> (&(dyn ToSql + Sync), Type);
}

/// The parameters as the driver wants them.
pub(super) fn typed<'a>(params: Params<'a>) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().map(|param| param.typed()).collect()
}

impl<T: SqlType + ToSql + Sync> Param for T {
    fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
        (self, T::TYPE)
    }
}

macro_rules! sql_types {
    ($($rust:ty => $one:ident, $array:ident;)*) => {
        $(impl SqlType for $rust {
            const TYPE: Type = Type::$one;
            const ARRAY: Type = Type::$array;
        })*
    };
}

sql_types! {
    bool => BOOL, BOOL_ARRAY;
    i16 => INT2, INT2_ARRAY;
    i32 => INT4, INT4_ARRAY;
    i64 => INT8, INT8_ARRAY;
    f32 => FLOAT4, FLOAT4_ARRAY;
    f64 => FLOAT8, FLOAT8_ARRAY;
    str => TEXT, TEXT_ARRAY;
    String => TEXT, TEXT_ARRAY;
    Uuid => UUID, UUID_ARRAY;
    OffsetDateTime => TIMESTAMPTZ, TIMESTAMPTZ_ARRAY;
    IpAddr => INET, INET_ARRAY;
    serde_json::Value => JSONB, JSONB_ARRAY;
}

impl<T: SqlType + ?Sized> SqlType for &T {
    const TYPE: Type = T::TYPE;
    const ARRAY: Type = T::ARRAY;
}

impl<T: SqlType> SqlType for Option<T> {
    const TYPE: Type = T::TYPE;
    const ARRAY: Type = T::ARRAY;
}

/// Bytes, as `bytea`.
impl SqlType for Vec<u8> {
    const TYPE: Type = Type::BYTEA;
    const ARRAY: Type = Type::BYTEA_ARRAY;
}

/// An array of arrays has the type of the array.
impl<T: SqlType> SqlType for [T] {
    const TYPE: Type = T::ARRAY;
    const ARRAY: Type = T::ARRAY;
}

impl<T: SqlType> SqlType for Vec<T> {
    const TYPE: Type = T::ARRAY;
    const ARRAY: Type = T::ARRAY;
}
