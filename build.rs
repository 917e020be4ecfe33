//! Bakes the commit and the branch into the binary. Only main.rs reads them, so that a commit does not rebuild the
//! library.

use std::{env, process::Command};

fn main() {
    // refinery embeds the migrations, and cargo would not see a new file.
    println!("cargo:rerun-if-changed=migrations");
    for name in ["RENDER_GIT_COMMIT", "RENDER_GIT_BRANCH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    // In a worktree `.git` is a file: git knows where these are. A path that is missing would rerun this at each build.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| std::path::Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    bake("APP_BUILD_COMMIT", "RENDER_GIT_COMMIT", &["rev-parse", "HEAD"]);
    bake("APP_BUILD_BRANCH", "RENDER_GIT_BRANCH", &["rev-parse", "--abbrev-ref", "HEAD"]);
}

fn bake(name: &str, platform: &str, ask: &[&str]) {
    let given = env::var(platform).ok().filter(|value| !value.trim().is_empty());
    let value = given.or_else(|| git(ask)).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env={name}={value}");
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}
