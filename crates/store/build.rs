//! Bakes in the number of the newest migration, and builds this crate again when a migration changes: the macro that
//! embeds them does not watch the folder.

use std::{fs, path::Path};

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
    println!("cargo:rustc-env=NEWEST_MIGRATION={}", newest_migration(Path::new("../../migrations")).unwrap_or(0));
}

/// `V0008__name.sql` is 8.
fn newest_migration(folder: &Path) -> Option<u32> {
    let names = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.strip_prefix('V')?.split_once("__")?.0.parse().ok()).max()
}
