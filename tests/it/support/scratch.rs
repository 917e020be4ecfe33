//! A folder of one test, with the server that the test may have started in it.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use embedded_postgres;

/// Ends its server and erases itself when dropped.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A path whose last part is `name` and something unique; nothing is created.
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
        // Within a test's runtime nothing may block on another, hence the thread.
        let reset = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(embedded_postgres::reset(&path)).is_ok()
        });
        if !matches!(reset.join(), Ok(true)) {
            // A test that made it something else than a server's folder.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
