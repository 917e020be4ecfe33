//! Pages of lists.

use std::fmt::Debug;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::http::ApiError;
use domain::Code;
use messages::Page;
use store::Cursor;

/// How long pages are.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct PageSize {
    /// When the client does not say.
    pub default: i64,
    /// At the most.
    pub max: i64,
}

impl PageSize {
    /// Items wanted, within bounds.
    pub fn limit(self, asked: Option<i64>) -> Result<i64, ApiError> {
        match asked {
            None => Ok(self.default),
            Some(limit) if (1..=self.max).contains(&limit) => Ok(limit),
            Some(_) => Err(ApiError::new(Code::LimitInvalid, format!("limit must be from 1 to {}.", self.max))),
        }
    }
}

/// Which list a cursor goes on in: the route and its filters. A cursor of another one is refused.
#[derive(Debug, Clone)]
pub struct ListId(Sha256);

/// Bytes of a list's hash in its cursors: it guards against mistakes, not against forgers.
const MARK_BYTES: usize = 6;

impl ListId {
    /// The list of this name.
    pub fn new(name: &str) -> Self {
        Self(Sha256::new_with_prefix(name))
    }

    /// Narrowed by a filter: its value as `Debug` shows it.
    pub fn with(mut self, filter: &str, value: impl Debug) -> Self {
        self.0.update(format!("\0{filter}\0{value:?}\0"));
        self
    }

    fn mark(&self) -> [u8; MARK_BYTES] {
        let mut mark = [0; MARK_BYTES];
        mark.copy_from_slice(&self.0.clone().finalize()[..MARK_BYTES]);
        mark
    }

    /// The cursor behind `key`.
    pub fn cursor(&self, key: &impl Key) -> String {
        let mut bytes = self.mark().to_vec();
        bytes.extend(key.bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where to go on; `None`: from the start.
    pub fn position<K: Key>(&self, cursor: Option<&str>) -> Result<Option<K>, ApiError> {
        cursor.map(|text| self.parse(text).ok_or_else(|| ApiError::of(Code::CursorInvalid))).transpose()
    }

    fn parse<K: Key>(&self, text: &str) -> Option<K> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (mark, key) = bytes.split_at_checked(MARK_BYTES)?;
        if mark == self.mark() { K::from_slice(key) } else { None }
    }

    /// A page out of up to `limit + 1` rows: the one too many says that there is a next page.
    pub fn page<R, K: Key, T>(
        &self,
        mut rows: Vec<R>,
        limit: i64,
        key: impl Fn(&R) -> K,
        view: impl Fn(R) -> T,
    ) -> Page<T> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(|row| self.cursor(&key(row))) } else { None };
        Page { items: rows.into_iter().map(view).collect(), next_cursor }
    }
}

/// What rows of a list are ordered by.
pub trait Key: Sized {
    /// For the wire.
    fn bytes(&self) -> Vec<u8>;
    /// Back from it.
    fn from_slice(bytes: &[u8]) -> Option<Self>;
}

impl Key for Cursor {
    fn bytes(&self) -> Vec<u8> {
        self.to_bytes().to_vec()
    }

    fn from_slice(bytes: &[u8]) -> Option<Self> {
        Self::from_bytes(bytes.try_into().ok()?)
    }
}

impl Key for i64 {
    fn bytes(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_be_bytes(bytes.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_out_of_bounds_is_refused_not_bent() {
        let size = PageSize { default: 20, max: 100 };
        assert_eq!(size.limit(None).unwrap(), 20);
        assert_eq!(size.limit(Some(100)).unwrap(), 100);
        for wrong in [0, -1, 101] {
            assert_eq!(size.limit(Some(wrong)).unwrap_err().code(), Code::LimitInvalid);
        }
    }

    #[test]
    fn a_cursor_is_of_one_list_with_its_filters() {
        let queued = ListId::new("jobs").with("state", "queued");
        let cursor = queued.cursor(&12_i64);
        assert_eq!(queued.position::<i64>(Some(&cursor)).unwrap(), Some(12));
        assert_eq!(queued.position::<i64>(None).unwrap(), None);
        let others = [ListId::new("jobs"), ListId::new("documents"), ListId::new("jobs").with("status", "queued")];
        for other in others {
            assert_eq!(other.position::<i64>(Some(&cursor)).unwrap_err().code(), Code::CursorInvalid);
        }
        for wrong in ["", "x", "12", &cursor[1..], &format!("{cursor}AA")] {
            assert_eq!(queued.position::<i64>(Some(wrong)).unwrap_err().code(), Code::CursorInvalid, "{wrong}");
        }
        assert_eq!(queued.position::<Cursor>(Some(&cursor)).unwrap_err().code(), Code::CursorInvalid);
    }

    #[test]
    fn only_a_page_with_more_behind_it_has_a_cursor() {
        let list = ListId::new("numbers");
        let two = list.page(vec![1_i64, 2], 2, |n| *n, |n| n);
        assert_eq!((two.items, two.next_cursor), (vec![1, 2], None));
        let three = list.page(vec![1_i64, 2, 3], 2, |n| *n, |n| n);
        assert_eq!(three.items, [1, 2]);
        assert_eq!(list.position::<i64>(three.next_cursor.as_deref()).unwrap(), Some(2));
    }
}
