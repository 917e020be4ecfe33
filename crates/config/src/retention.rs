//! How long what is kept.

use super::reader::Reader;

/// A century: who wants more writes `0`.
const MOST_DAYS: u32 = 36_500;

/// How long what is kept, in days; `0`: for ever.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Events of ended jobs.
    pub events_days: u32,
    /// The log of webhooks that were applied.
    pub webhooks_days: u32,
    /// Ended jobs that a later job of their document has superseded.
    pub jobs_days: u32,
    /// Receipts of deletions that are done.
    pub receipts_days: u32,
}

impl Retention {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            events_days: r.whole("RETENTION_EVENTS_DAYS", 0..=MOST_DAYS),
            webhooks_days: r.whole("RETENTION_WEBHOOKS_DAYS", 0..=MOST_DAYS),
            jobs_days: r.whole("RETENTION_JOBS_DAYS", 0..=MOST_DAYS),
            receipts_days: r.whole("RETENTION_RECEIPTS_DAYS", 0..=MOST_DAYS),
        }
    }
}
