//! `app parse FILE`: prints the markdown that search will see.

use std::{fs, io, path::Path, process::ExitCode};

use super::wiring::parse_memory;
use crate::cli::ParseArgs;
use client::render;
use config::{Config, Role, Sources};
use domain::{Code, Failure, ports::Parser};
use readers::LocalParser;

/// Parses the file as a worker does, and prints the markdown.
///
/// # Errors
///
/// The file cannot be read, or the parser's failure.
pub fn run(args: ParseArgs, sources: &Sources) -> anyhow::Result<ExitCode> {
    let config = Config::load(Role::Client, sources)?;
    let limits = config.parser.limits(parse_memory(&config).bytes());
    let filename = args.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    client::run(async move {
        expect_a_file(&args.file)?;
        let parser = LocalParser::default();
        let document = parser.parse(&args.file, "", &filename, limits).await?;
        render::print(&document.markdown)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Checks the file here, because the child's failure would say that the file is tried again.
fn expect_a_file(path: &Path) -> Result<(), Failure> {
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
