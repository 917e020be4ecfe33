//! `app dev` and its database.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::support::{
    fleet::{Fleet, PATIENCE},
    scratch::Scratch,
};

/// The text of a file, once it is there.
async fn content(path: &Path) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match fs::read_to_string(path) {
            Ok(text) => return text.trim().to_owned(),
            Err(error) => assert!(Instant::now() < deadline, "{}: {error}", path.display()),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_ends_is_started_again() {
    let mut fleet = Fleet::new("", "");
    for name in ["DATABASE_URL", "DIRECT_URL", "STORAGE_URL", "SUPABASE_JWT_SECRET"] {
        fleet.unset(name);
    }
    let folder = Scratch::new("dev");
    fleet.set("APP_DEV_DIR", folder.path().to_str().unwrap());
    fleet.set("APP_PG_BIN", &std::env::var("APP_PG_BIN").expect("scripts/test names PostgreSQL's programs"));
    let mut dev = fleet.start(&["dev"]);
    let api = content(&folder.path().join("api.url")).await;
    let pid_file = folder.path().join("postgres/cluster/data/postmaster.pid");
    let pid = content(&pid_file).await.lines().next().unwrap().to_owned();
    assert!(Command::new("kill").args(["-s", "KILL", &pid]).status().unwrap().success());
    dev.wait_for("the database runs again");
    let deadline = Instant::now() + PATIENCE;
    while reqwest::get(format!("{api}/health")).await.unwrap().status() != 200 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(dev.stop(), 0);
    assert!(!pid_file.exists(), "the database still runs");
}
