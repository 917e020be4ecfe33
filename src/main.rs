//! `app`: parses the command line, runs the role and turns an error into an exit code.

use std::{io::Write, process::ExitCode, sync::OnceLock};

use app::{
    cli::{self, Command},
    roles,
};
use config::{ConfigError, Role, Sources};
use domain::{ErrorClass, Failure, build_info::BuildInfo};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// For a configuration that cannot work. Clap exits with the same code after wrong arguments.
const EXIT_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    // Before anything else: the children that open hostile files have no runtime and no configuration.
    match std::env::args_os().nth(1) {
        Some(command) if command == readers::CHILD_COMMAND => return readers::run_child(),
        Some(command) if command == readers::PICTURE_COMMAND => return readers::run_picture_child(),
        Some(command) if command == readers::OCR_COMMAND => return readers::run_ocr_child(),
        _ => {}
    }
    static VERSION: OnceLock<String> = OnceLock::new();
    let build =
        BuildInfo::new(env!("APP_BUILD_COMMIT"), env!("APP_BUILD_BRANCH"), store::migrations::SCHEMA_VERSION, |name| {
            std::env::var(name).ok()
        })
        .with_built_at(env!("APP_BUILD_TIME"));
    let cli = cli::parse(VERSION.get_or_init(|| build.to_string()));
    run(cli.command, &build).unwrap_or_else(|error| report(&error))
}

fn run(command: Command, build: &BuildInfo) -> anyhow::Result<ExitCode> {
    // One cryptography provider for Postgres, HTTPS and tokens. Only a second call in this process would fail.
    let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let sources = Sources::from_process();
    match command {
        Command::Api => roles::run(Role::Api, &sources, build, roles::api::run),
        Command::Worker => roles::run(Role::Worker, &sources, build, roles::worker::run),
        Command::Migrate(args) => roles::run(Role::Migrate, &sources, build, |ctx| roles::migrate::run(args, ctx)),
        Command::Check(args) => roles::check::run(args, &sources, build),
        Command::Dev(args) => roles::dev::run(args, &sources, build),
        Command::Upload(args) => client::run(client::upload::run(args, &sources, build)),
        Command::Jobs(args) => client::run(client::jobs::run(args, &sources, build)),
        Command::Documents(args) => client::run(client::documents::run(args, &sources, build)),
        Command::Search(args) => client::run(client::search::run(args, &sources, build)),
        Command::Usage(args) if args.all => roles::run(Role::Keys, &sources, build, |ctx| roles::usage::run(args, ctx)),
        Command::Usage(args) => client::run(client::usage::run(args, &sources, build)),
        Command::Eval(args) => client::run(client::eval::run(args, &sources, build)),
        Command::Keys(args) => roles::run(Role::Keys, &sources, build, |ctx| roles::keys::run(args, ctx)),
        Command::Verify(args) => {
            roles::run(Role::Verify, &roles::check::sources(&sources), build, |ctx| roles::verify::run(args, ctx))
        }
        Command::Reembed(args) => {
            roles::run(Role::Reembed, &roles::check::sources(&sources), build, |ctx| roles::reembed::run(args, ctx))
        }
        Command::FakeProviders(args) => roles::fakes::run(&args, &sources),
        Command::Estimate(args) => roles::estimate::run(args, &sources),
        Command::Parse(args) => roles::parse::run(args, &sources),
        // `main` handles this before anything else, unless other arguments come first.
        Command::ParseChild => Ok(readers::run_child()),
        Command::PictureChild => Ok(readers::run_picture_child()),
        Command::OcrChild => Ok(readers::run_ocr_child()),
    }
}

/// Prints the error and its causes, one per line.
fn report(error: &anyhow::Error) -> ExitCode {
    let mut stderr = anstream::stderr().lock();
    for (depth, cause) in error.chain().enumerate() {
        // There is nothing to do if stderr is closed.
        drop(writeln!(stderr, "{}{cause}", if depth == 0 { "error: " } else { "  because: " }));
    }
    let configuration = error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.downcast_ref::<Failure>().is_some_and(|failure| failure.class == ErrorClass::Configuration)
    });
    if configuration { ExitCode::from(EXIT_CONFIGURATION) } else { ExitCode::FAILURE }
}
