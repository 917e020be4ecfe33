//! A folder of one test, in which the test may start a PostgreSQL server.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use embedded_postgres;

/// Stops its server and deletes itself when dropped.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A unique path that starts with `name`; nothing is created.
    pub fn new(name: &str) -> Self {
        let unique = format!("{name}-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        Self { path: std::env::temp_dir().join(unique) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let path = self.path.clone();
        // A thread, because a runtime cannot block on another one.
        let reset = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(embedded_postgres::reset(&path)).is_ok()
        });
        if !matches!(reset.join(), Ok(true)) {
            // The folder is not a server's, so it is only deleted.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
