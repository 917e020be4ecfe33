//! `app parse FILE`: prints the markdown that search will see. `app parse --kinds`: which files can be read.

use std::{fs, io, path::Path, process::ExitCode};

use anyhow::{Context as _, anyhow};
use serde_json::json;

use super::wiring::{local_parser, parse_memory};
use crate::cli::ParseArgs;
use client::render;
use config::{Config, Role, Sources};
use domain::{
    Code, Failure,
    ports::{FileKind, ParseJob, Parser},
    record::ReadingRecord,
};

/// Parses the file as a worker does, and prints the markdown; or prints the table of kinds.
///
/// # Errors
///
/// The file cannot be read, or the parser's failure.
pub fn run(args: ParseArgs, sources: &Sources) -> anyhow::Result<ExitCode> {
    let Some(file) = args.file else {
        render::print(&kinds())?;
        return Ok(ExitCode::SUCCESS);
    };
    let config = Config::load(Role::Parse, sources)?;
    let limits = config.parser.limits(parse_memory(&config).bytes());
    let filename = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    client::run(async move {
        expect_a_file(&file)?;
        let parser = local_parser(&config.parser);
        let job = ParseJob { ocr: args.ocr, ..ParseJob::new(&file, "", &filename, limits) };
        let parsed = parser.parse(job).await;
        let parsed = parsed.map_err(|failure| anyhow!("{} [{}]", failure.message, failure.code.as_str()))?;
        let document = parsed.context("the parser was stopped")?;
        render::print(&document.markdown)?;
        if args.report {
            let record = ReadingRecord::new(parser.name(), &document);
            eprintln!("{}", json!({ "kind": document.kind, "record": record }));
        } else {
            document.notices.iter().for_each(|notice| eprintln!("{notice}"));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// A line for each kind of file: its extensions, its media type and what it is.
fn kinds() -> String {
    let line = |kind: FileKind| {
        let extensions = kind.extensions().join(", ");
        format!("{extensions:<20} {:<73} {}\n", kind.media_type(), kind.description())
    };
    FileKind::ALL.map(line).concat()
}

/// Checks the file here: the child would say that the parser fails.
pub(super) fn expect_a_file(path: &Path) -> Result<(), Failure> {
    let fault = match fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_file() => return Ok(()),
        Ok(_) => "It is not a file. Name a file.".to_owned(),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => "There is no such file. Check the name.".to_owned(),
            io::ErrorKind::PermissionDenied => "You may not read it. Check its permissions.".to_owned(),
            kind => format!("It couldn't be read: {kind}. Check the file."),
        },
    };
    Err(Failure::new(Code::Unreadable, format!("{}: {fault}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_line() {
        let table = kinds();
        assert_eq!(table.lines().count(), FileKind::ALL.len());
        assert!(table.lines().any(|line| line.starts_with("eml, mht") && line.contains(" message/rfc822 ")), "{table}");
    }

    #[test]
    fn what_is_no_file_is_named_with_what_to_do_and_not_tried_again() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(expect_a_file(&root.join("Cargo.toml")), Ok(()));
        for (name, why) in [("no-such-file.pdf", "There is no such file"), ("src", "It is not a file")] {
            let failure = expect_a_file(&root.join(name)).unwrap_err();
            assert!(failure.message.contains(name) && failure.message.contains(why), "{failure}");
            assert!(!failure.class.is_retryable(), "{failure}");
        }
    }
}
