use super::*;

settings! {
    /// How long ended jobs, their events, receipts, refused bytes, previous versions, judgements and sums of money are kept.
    Retention in "retention", titled "Retention";

    /// Days that the events of an ended job are kept; `0`: for ever.
    RETENTION_EVENTS_DAYS[WORKER] events_days: u32 = days, default "90";
    /// Days that an applied webhook is remembered, so that it cannot be played again; `0`: for ever.
    RETENTION_WEBHOOKS_DAYS[WORKER] webhooks_days: u32 = days, default "30";
    /// Days that an ended job is kept once a later job of its document has taken its place; `0`: for ever. A document's
    /// latest job stays as long as the document.
    RETENTION_JOBS_DAYS[WORKER] jobs_days: u32 = days, default "0";
    /// Days that bytes are kept which are not of the declared type, or not what was announced; `0`: as long as their
    /// document.
    RETENTION_MISMATCHED_DAYS[WORKER] mismatched_days: u32 = days, default "1";
    /// Days that a version of a document is kept once another is the active one, so that it can be restored; `0`: as long as
    /// the document.
    RETENTION_VERSIONS_DAYS[WORKER] versions_days: u32 = days, default "30";
    /// Days that a judgement of a hit is kept after it was last given, and the question with its last one; `0`: as long as the
    /// document.
    RETENTION_JUDGEMENTS_DAYS[WORKER] judgements_days: u32 = days, default "0";
    /// Days that the sums of what was bought are kept, by user and day; `0`: for ever.
    RETENTION_USAGE_DAYS[WORKER] usage_days: u32 = days, default "0";
    /// Days that the receipt of a finished deletion is kept; `0`: for ever.
    RETENTION_RECEIPTS_DAYS[WORKER] receipts_days: u32 = days, default "365";
}
