//! The identity of a build: compiled in, overridden by the platform, and shown by every process.

use std::{path::Path, process::Command};

use serde_json::Value;
use store::migrations::SCHEMA_VERSION;
use store::migrations::list_migrations;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::support::{
    db::TestDb,
    fleet::{Fleet, PATIENCE},
};

#[path = "../../../build.rs"]
#[allow(dead_code, reason = "cargo calls its main")]
mod build_script;

const COMMIT: &str = "3f2a9c1d4e5b6a7980c1d2e3f4a5b6c7d8e9f0a1";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The values C, B, T and N of `1.0 (commit C, branch B, built T, schema N)`.
fn parts(version: &str) -> (String, String, String, String) {
    let part = |from: &str, to: &str| {
        let rest = version.split_once(from).unwrap_or_else(|| panic!("no {from:?} in {version}")).1;
        rest.split_once(to).unwrap_or_else(|| panic!("no {to:?} in {version}")).0.to_owned()
    };
    (part("(commit ", ","), part("branch ", ", built "), part("built ", ","), part("schema ", ")"))
}

fn version_of(env: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_app"));
    let output = command.arg("--version").env_clear().envs(env.iter().copied()).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_build_knows_its_commit_its_time_and_its_newest_migration() {
    let version = version_of(&[]);
    assert!(version.starts_with(&format!("app {} (", env!("CARGO_PKG_VERSION"))), "{version}");
    let (commit, branch, built_at, schema) = parts(&version);
    let git = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(root()).output();
    let is_given = ["RENDER_GIT_COMMIT", "APP_COMMIT"].iter().any(|name| std::env::var_os(name).is_some());
    if let Some(git) = git.ok().filter(|git| git.status.success() && !is_given) {
        assert_eq!(commit.trim_end_matches("-dirty"), String::from_utf8(git.stdout).unwrap().trim());
    }
    assert!(!branch.is_empty(), "{version}");
    let built_at = OffsetDateTime::parse(&built_at, &Rfc3339).unwrap();
    assert!(built_at <= OffsetDateTime::now_utc(), "{version}");
    assert_eq!(schema, SCHEMA_VERSION.to_string());
}

#[test]
fn the_platforms_commit_and_branch_override_the_compiled_ones() {
    let version = version_of(&[("RENDER_GIT_COMMIT", COMMIT), ("RENDER_GIT_BRANCH", "release")]);
    let (commit, branch, ..) = parts(&version);
    assert_eq!((commit.as_str(), branch.as_str()), (COMMIT, "release"));
}

#[test]
fn a_build_without_git_takes_commit_branch_and_time_from_the_environment() {
    let env = |name: &str| match name {
        "APP_COMMIT" => Some(format!("{COMMIT}\n")),
        "RENDER_GIT_COMMIT" => Some(String::new()),
        "SOURCE_DATE_EPOCH" => Some("1763794800".to_owned()),
        _ => None,
    };
    assert_eq!(build_script::given(&["RENDER_GIT_COMMIT", "APP_COMMIT"], env).as_deref(), Some(COMMIT));
    assert_eq!(build_script::given(&["APP_BRANCH"], env), None);
    assert_eq!(build_script::built_at(env), Some(1_763_794_800));
    assert!(build_script::built_at(|_| None) > Some(1_763_794_800), "without SOURCE_DATE_EPOCH it is the current time");
}

#[tokio::test]
async fn the_compiled_schema_version_is_that_of_the_newest_migration() {
    let test = TestDb::empty().await;
    let newest = list_migrations(&test.db).await.unwrap().pop().unwrap().name;
    assert!(newest.starts_with(&format!("V{SCHEMA_VERSION:04}__")), "{newest}");
}

async fn get(url: &str) -> Value {
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_shows_the_same_build() {
    let test = TestDb::new().await;
    let mut fleet = Fleet::new(&test.url, &test.url);
    fleet.set("RENDER_GIT_COMMIT", COMMIT);
    fleet.set("RENDER_GIT_BRANCH", "release");
    let version = version_of(&[("RENDER_GIT_COMMIT", COMMIT), ("RENDER_GIT_BRANCH", "release")]);
    let (_, _, built_at, _) = parts(&version);
    let version = version.trim().trim_start_matches("app ");

    let (mut api, client) = fleet.api();
    let mut worker = fleet.worker();
    let (_, _, migrated) = fleet.run(&["migrate"]);
    for line in [api.wait_for("app api starts"), worker.wait_for("app worker starts"), migrated] {
        assert!(line.contains(version), "no {version:?} in {line}");
    }
    for path in ["/version", "/health", "/api/upload-pipeline/version"] {
        let body = get(&format!("{}{path}", client.root)).await;
        assert_eq!(body["version"], env!("CARGO_PKG_VERSION"), "{path}: {body}");
        assert_eq!((&body["commit"], &body["branch"]), (&COMMIT.into(), &"release".into()), "{path}: {body}");
        assert_eq!((&body["built_at"], &body["schema_version"]), (&built_at.clone().into(), &SCHEMA_VERSION.into()));
    }

    let sql = "SELECT w.commit, w.branch, w.version, to_char(w.built_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
        w.schema_version FROM upload_pipeline.workers AS w";
    let deadline = std::time::Instant::now() + PATIENCE;
    while test.rows(sql).await.is_empty() {
        assert!(std::time::Instant::now() < deadline, "the worker did not register itself");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let row = [COMMIT, "release", env!("CARGO_PKG_VERSION"), built_at.as_str(), &SCHEMA_VERSION.to_string()];
    assert_eq!(test.rows(sql).await, [row]);
}
