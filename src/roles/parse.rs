//! `app parse FILE`: prints what search will see of a file.

use std::process::ExitCode;

use crate::cli::ParseArgs;
use client::render;
use config::{Config, Role, Sources};
use domain::ports::Parser;
use readers::{LocalParser, LocalParserOptions};

/// Parses the file as a worker does, and prints the markdown.
///
/// # Errors
///
/// The parser's failure.
pub fn run(args: ParseArgs, sources: &Sources) -> anyhow::Result<ExitCode> {
    let limits = Config::load(Role::Client, sources)?.parser.limits;
    let filename = args.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    client::run(async move {
        let parser = LocalParser::new(LocalParserOptions::default());
        let document = parser.parse(&args.file, "", &filename, limits).await?;
        render::print(&document.markdown)?;
        Ok(ExitCode::SUCCESS)
    })
}
