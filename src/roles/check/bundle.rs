//! `app check --bundle`: a zip for a colleague who has no access to the environment.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context as _;
use check::Surroundings;
use config::Fingerprint;
use serde_json::{Value, json};
use zip::{ZipWriter, write::SimpleFileOptions};

/// Makes the file before anything is checked, so that a name that cannot be used is told at once.
pub(super) fn create(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.with_context(|| format!("couldn't create {}; name a file that does not exist yet", path.display()))
}

/// Writes the archive: JSON files.
pub(super) fn write(
    file: File,
    findings: &Value,
    settings: &[Fingerprint],
    surroundings: &Surroundings,
) -> anyhow::Result<()> {
    let settings: Vec<Value> = settings
        .iter()
        .map(|it| json!({ "name": it.name, "from": it.place, "length": it.length, "fingerprint": it.fingerprint }))
        .collect();
    let mut archive = ZipWriter::new(file);
    for (name, value) in [
        ("findings.json", findings),
        ("versions.json", &surroundings.versions),
        ("settings.json", &Value::from(settings)),
        ("events.json", &surroundings.events),
    ] {
        archive.start_file(name, SimpleFileOptions::default())?;
        archive.write_all(serde_json::to_string_pretty(value)?.as_bytes())?;
    }
    archive.finish().context("couldn't write the bundle")?;
    Ok(())
}
