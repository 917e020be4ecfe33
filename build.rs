//! Bakes into the program which build it is: commit, branch and time. Only main.rs reads them, so that a commit changes
//! nothing in the libraries and the next build is short.

use std::{
    env,
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

/// What the program is made of; the build time is that of their last change, and a commit is theirs only as it stands.
const SOURCES: [&str; 9] =
    ["src", "crates", "config", "migrations", "samples", "scripts/pins", "build.rs", "Cargo.toml", "Cargo.lock"];
/// Where commit and branch come from, in this order, before git is asked. An image is built without `.git`.
const COMMIT: [&str; 2] = ["RENDER_GIT_COMMIT", "APP_COMMIT"];
const BRANCH: [&str; 2] = ["RENDER_GIT_BRANCH", "APP_BRANCH"];

fn main() {
    for path in SOURCES {
        println!("cargo:rerun-if-changed={path}");
    }
    for name in COMMIT.iter().chain(&BRANCH).chain(&["SOURCE_DATE_EPOCH"]) {
        println!("cargo:rerun-if-env-changed={name}");
    }
    // In a worktree `.git` is a file: git knows where these are. A path that is missing would rerun this at each build.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD"].into_iter().chain(branch.as_deref()) {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let lookup = |name: &str| env::var(name).ok();
    bake("COMMIT", given(&COMMIT, lookup).or_else(commit));
    bake("BRANCH", given(&BRANCH, lookup).or_else(|| git(&["rev-parse", "--abbrev-ref", "HEAD"])));
    bake("TIME", built_at(lookup).map(|seconds| seconds.to_string()));
}

fn bake(name: &str, value: Option<String>) {
    println!("cargo:rustc-env=APP_BUILD_{name}={}", value.as_deref().unwrap_or("unknown"));
}

/// The first of `names` that is set to something.
pub fn given(names: &[&str], lookup: impl Fn(&str) -> Option<String>) -> Option<String> {
    names.iter().filter_map(|name| lookup(name)).map(|value| value.trim().to_owned()).find(|value| !value.is_empty())
}

/// The commit; where the sources are not as it has them, it says so.
fn commit() -> Option<String> {
    let commit = git(&["rev-parse", "HEAD"])?;
    let arguments = [&["diff", "--quiet", "HEAD", "--"][..], &SOURCES].concat();
    let changed = Command::new("git").args(arguments).status().is_ok_and(|status| status.code() == Some(1));
    Some(if changed { format!("{commit}-dirty") } else { commit })
}

/// Seconds since 1970: `SOURCE_DATE_EPOCH`, by which a build can be repeated, else now.
pub fn built_at(lookup: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let told = lookup("SOURCE_DATE_EPOCH").and_then(|text| text.trim().parse().ok());
    told.or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs()))
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
