//! Fakes of the providers that charge: `app fake-providers`, and those of `app dev --fake-providers`.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::{cli::FakeProvidersArgs, shutdown};
use client::render;
use config::{Config, Environment, Role, Sources};
use domain::{Code, Failure};
use fake_providers::{embeddings::Embeddings, llamaparse::LlamaParse};

/// The model of the fake embedding service, which knows no other.
const MODEL: &str = "fake-embedding";
/// Components of its vectors.
const DIMENSIONS: usize = 256;
/// The key of the fake LlamaParse. It is not secret.
const KEY: &str = "llx-fake";

/// Both fakes; they stop when this is dropped.
pub(super) struct Fakes {
    embeddings: Embeddings,
    llamaparse: LlamaParse,
}

impl Fakes {
    /// Starts both.
    ///
    /// # Errors
    ///
    /// The environment is production, or a port is taken.
    pub(super) fn start(sources: &Sources, ports: &FakeProvidersArgs) -> anyhow::Result<Self> {
        refuse_in_production(sources)?;
        let taken = |port: u16| format!("couldn't listen on port {port} of 127.0.0.1");
        let embeddings = Embeddings::bind(ports.embeddings_port, MODEL, DIMENSIONS);
        let llamaparse = LlamaParse::bind(ports.llamaparse_port, KEY);
        Ok(Self {
            embeddings: embeddings.with_context(|| taken(ports.embeddings_port))?,
            llamaparse: llamaparse.with_context(|| taken(ports.llamaparse_port))?,
        })
    }

    /// The settings with which API and workers use them.
    fn settings(&self) -> [(&'static str, String); 7] {
        [
            ("EMBED_PROVIDER", "openai".to_owned()),
            ("EMBED_MODEL", MODEL.to_owned()),
            ("OPENAI_API_URL", self.embeddings.url()),
            ("LLAMAPARSE_API_URL", self.llamaparse.url()),
            ("LLAMAPARSE_API_KEY", KEY.to_owned()),
            ("EMBED_PRICES", format!("{MODEL}=2")),
            ("LLAMAPARSE_PRICES", "cost_effective=0.375".to_owned()),
        ]
    }

    /// The sources with these settings above all others, except prices, which may be others.
    pub(super) fn apply(&self, sources: Sources) -> Sources {
        self.settings().into_iter().fold(sources, |sources, (name, value)| match name {
            "EMBED_PRICES" | "LLAMAPARSE_PRICES" => sources.with_fallback(name, value),
            _ => sources.with_value(name, value),
        })
    }

    /// How a person orders faults.
    pub(super) fn hint(&self) -> String {
        let (embeddings, llamaparse) = (self.embeddings.url(), self.llamaparse.url());
        format!(
            "Faults to order, and what was charged for:\n  \
             curl -X PUT {embeddings}/faults -d '{{\"next\": [\"busy:2\", \"error\", \"cut\"]}}'\n  \
             curl -X PUT {llamaparse}/faults -d '{{\"start\": [\"500\"]}}'\n  \
             curl {embeddings}/billed; curl {llamaparse}/billed\n"
        )
    }
}

/// Runs both until a signal.
///
/// # Errors
///
/// The environment is production, or a port is taken.
pub fn run(args: &FakeProvidersArgs, sources: &Sources) -> anyhow::Result<ExitCode> {
    let fakes = Fakes::start(sources, args)?;
    let settings: String = fakes.settings().iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    client::run(async move {
        let stop = shutdown::listen()?;
        render::print(&format!("{settings}\n{}", fakes.hint()))?;
        stop.cancelled().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn refuse_in_production(sources: &Sources) -> Result<(), Failure> {
    let (config, _faults) = Config::load_lenient(Role::Dev, sources);
    if config.environment == Environment::Production && !config.environment_is_assumed {
        let message = "Fakes of the providers are for tests, and ENVIRONMENT is production: documents would get vectors and texts that \
                       mean nothing. Set the real services, or another environment.";
        return Err(Failure::new(Code::FakesInProduction, message));
    }
    Ok(())
}
