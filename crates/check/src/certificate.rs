//! How long a certificate lasts.

use time::OffsetDateTime;

/// A certificate that ends sooner is reported: certificates of 90 days are renewed with 30 left.
pub(super) const ENOUGH_DAYS: i64 = 30;

/// The whole days until then; `None` if the end is unknown.
pub(super) fn days_left(ends_at: Option<OffsetDateTime>) -> Option<i64> {
    Some((ends_at? - OffsetDateTime::now_utc()).whole_days())
}
