//! Another program that writes objects and rows itself. Some of its jobs have a priority, and some lack their object.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{Clients, RETRY_LIMIT, USERS, documents, pause};
use crate::torture::stack::try_rows;

/// Pause between two documents.
const EVERY: Duration = Duration::from_millis(400);

pub async fn run(clients: Clients, mut rng: fastrand::Rng, database: String, storage: PathBuf) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut made = 0;
    while clients.may_go_on().await {
        tick.tick().await;
        made += 1;
        let bytes = documents::markdown(&mut rng, &format!("{}-foreign-{made}", clients.seed));
        let (document, job) = (Uuid::new_v4(), Uuid::new_v4());
        let key = format!("raw/foreign/{document}");
        let wanted = if rng.u32(..10) == 0 {
            "object_missing"
        } else {
            // The disk may be full.
            while write(&storage.join(&key), &bytes).is_err() {
                pause().await;
            }
            "complete"
        };
        // One simple query is one transaction. Repeating it after a lost answer changes nothing.
        let sql = format!(
            "INSERT INTO upload_pipeline.documents (document_id, user_id, filename, mime, bytes_len, file_sha256, raw_path)
             VALUES ('{document}', '{user}', 'foreign-{made}.md', 'text/markdown', {length}, '{hash}', '{key}')
             ON CONFLICT DO NOTHING;
             INSERT INTO upload_pipeline.upload_jobs (job_id, document_id, status, state, progress, priority, created_at, updated_at)
             VALUES ('{job}', '{document}', 'uploaded', 'queued', '{{}}', {priority}, NOW(), NOW())
             ON CONFLICT DO NOTHING",
            user = USERS[rng.usize(..USERS.len())],
            length = bytes.len(),
            hash = documents::sha256(&bytes),
            priority = rng.i32(-1..=1),
        );
        let deadline = Instant::now() + RETRY_LIMIT;
        while let Err(error) = try_rows(&database, &sql).await {
            assert!(Instant::now() < deadline, "the database does not accept the other program's rows: {error:?}");
            pause().await;
        }
        clients.promise(&job.to_string(), &document.to_string(), wanted);
    }
}

/// Writes a file atomically.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(path.parent().unwrap())?;
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, bytes)?;
    fs::rename(&unfinished, path)
}
