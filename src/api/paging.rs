//! Pages of lists.

use serde::Deserialize;

use super::{ApiError, messages::Page};

/// The query string of a list.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PageQuery {
    /// Items wanted.
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// How long pages are.
#[derive(Debug, Clone, Copy)]
pub struct PageSize {
    /// When the client does not say.
    pub default: i64,
    /// At the most.
    pub max: i64,
}

impl PageQuery {
    /// Items wanted, within bounds.
    pub fn limit(&self, size: PageSize) -> Result<i64, ApiError> {
        match self.limit {
            None => Ok(size.default),
            Some(limit) if (1..=size.max).contains(&limit) => Ok(limit),
            Some(_) => Err(ApiError::bad_request("limit_invalid", format!("limit must be from 1 to {}.", size.max))),
        }
    }

    /// Where to go on; `None`: from the start.
    pub fn cursor<T: std::str::FromStr>(&self) -> Result<Option<T>, ApiError> {
        self.cursor.as_deref().map(|text| text.parse().ok().ok_or_else(cursor_invalid)).transpose()
    }
}

fn cursor_invalid() -> ApiError {
    ApiError::bad_request(
        "cursor_invalid",
        "This cursor was not given out by this list. Start again without one, then send next_cursor as it came.",
    )
}

/// A page out of up to `limit + 1` rows: the one too many says that there is a next page.
pub fn page<R, T>(mut rows: Vec<R>, limit: i64, key: impl Fn(&R) -> String, view: impl Fn(R) -> T) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = if more { rows.last().map(key) } else { None };
    Page { items: rows.into_iter().map(view).collect(), next_cursor }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: PageSize = PageSize { default: 20, max: 100 };

    fn asked(limit: Option<i64>, cursor: Option<&str>) -> PageQuery {
        PageQuery { limit, cursor: cursor.map(str::to_owned) }
    }

    #[test]
    fn a_limit_out_of_bounds_is_refused_not_bent() {
        assert_eq!(asked(None, None).limit(SIZE).unwrap(), 20);
        assert_eq!(asked(Some(100), None).limit(SIZE).unwrap(), 100);
        for wrong in [0, -1, 101] {
            assert_eq!(asked(Some(wrong), None).limit(SIZE).unwrap_err().code(), "limit_invalid");
        }
    }

    #[test]
    fn a_cursor_that_is_none_is_refused() {
        assert_eq!(asked(None, Some("12")).cursor::<i64>().unwrap(), Some(12));
        assert_eq!(asked(None, None).cursor::<i64>().unwrap(), None);
        assert_eq!(asked(None, Some("x")).cursor::<i64>().unwrap_err().code(), "cursor_invalid");
    }

    #[test]
    fn only_a_page_with_more_behind_it_has_a_cursor() {
        let two = page(vec![1, 2], 2, ToString::to_string, |n| n);
        assert_eq!((two.items, two.next_cursor), (vec![1, 2], None));
        let three = page(vec![1, 2, 3], 2, ToString::to_string, |n| n);
        assert_eq!((three.items, three.next_cursor), (vec![1, 2], Some("2".to_owned())));
    }
}
