//! Another program: it writes the bytes into the store and the rows into the tables, some with a priority, some without
//! the bytes.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{Clients, KEEP_AT_IT, USERS, documents, pause};
use crate::torture::stack::try_rows;

/// Between two of its documents.
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
            write(&storage.join(&key), &bytes);
            "complete"
        };
        // One simple query is one transaction. Done twice, after an answer that was lost, it changes nothing.
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
        let deadline = Instant::now() + KEEP_AT_IT;
        while let Err(error) = try_rows(&database, &sql).await {
            assert!(Instant::now() < deadline, "another program's rows are not taken: {error:?}");
            pause().await;
        }
        clients.promise(&job.to_string(), &document.to_string(), wanted);
    }
}

/// Whole or not at all.
fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, bytes).unwrap();
    fs::rename(&unfinished, path).unwrap();
}
