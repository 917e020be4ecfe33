//! The table `ocr_pages`: pages of a document in work that OCR has read.

use serde_json::Value;

use super::jobs::{FENCED, lock_lease, save_progress};
use domain::{Fence, Status, Step, ports::OcrPage};
use pg::{Db, DbError, FromRow, Session};

#[derive(FromRow)]
struct Row {
    page: i32,
    text: String,
}

/// The pages that were read for this job.
pub async fn list_ocr_pages(db: &impl Session, fence: Fence) -> Result<Vec<OcrPage>, DbError> {
    let rows: Vec<Row> = db
        .list(
            &format!(
                "-- list_ocr_pages
SELECT p.page, p.text
FROM upload_pipeline.upload_jobs AS j
JOIN upload_pipeline.ocr_pages AS p ON p.job_id = j.job_id
WHERE {FENCED}
ORDER BY p.page"
            ),
            &[&fence.job_id.0, &fence.worker.0, &fence.epoch],
        )
        .await?;
    let page = |row: Row| OcrPage { page: u32::try_from(row.page).unwrap_or(0), text: row.text.into_bytes() };
    Ok(rows.into_iter().map(page).collect())
}

/// Commits a page that was read, and the counts, in one transaction under the lease: it is never read again.
pub async fn save_ocr_page(
    db: &Db,
    fence: Fence,
    step: Step,
    status: Status,
    page: &OcrPage,
    progress: &Value,
) -> Result<(), DbError> {
    // The parser's JSON.
    let text = String::from_utf8_lossy(&page.text);
    db.run_tx("save_ocr_page", |tx| {
        let text = &text;
        Box::pin(async move {
            lock_lease(&tx, fence).await?;
            tx.run(
                "-- save_ocr_page
INSERT INTO upload_pipeline.ocr_pages (job_id, page, text)
VALUES ($1, $2, $3)
ON CONFLICT (job_id, page) DO UPDATE SET text = excluded.text, read_at = now()",
                &[&fence.job_id.0, &i32::try_from(page.page).unwrap_or(i32::MAX), &text.as_ref()],
            )
            .await?;
            save_progress(&tx, fence, step, status, progress).await
        })
    })
    .await
}

/// Removes the pages of a job whose document is parsed.
pub async fn delete_ocr_pages(db: &impl Session, fence: Fence) -> Result<(), DbError> {
    db.run(
        "-- delete_ocr_pages
DELETE FROM upload_pipeline.ocr_pages
WHERE job_id = $1",
        &[&fence.job_id.0],
    )
    .await
    .map(drop)
}
