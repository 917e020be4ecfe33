//! What parsing one document may cost, and where a remote parser is.

use std::{fmt, time::Duration};

use url::Url;

use super::{environment::Environment, reader::Reader, secret::Secret, values};
use domain::ports::ParseLimits;

/// Which documents go to LlamaParse. All are verified and read here first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParserChoice {
    /// Those that cannot be read here (pages that are pictures), and those uploaded with `ocr`; none without a key.
    #[default]
    Auto,
    /// None.
    Local,
    /// Every PDF and Office document.
    LlamaParse,
}

impl ParserChoice {
    const ALL: [Self; 3] = [Self::Auto, Self::Local, Self::LlamaParse];

    fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Local => "local",
            Self::LlamaParse => "llamaparse",
        }
    }
}

impl fmt::Display for ParserChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Tiers of LlamaParse that give markdown. Source: LlamaParse, "Parse File"; `fast` gives text only.
const TIERS: [&str; 3] = ["cost_effective", "agentic", "agentic_plus"];
/// What stands in for WEBHOOK_SECRET on a laptop: the same in every process, and no secret.
const DEVELOPMENT_SECRET: &str = "development: anybody may say that a document is ready to be asked for";

/// What parsing one document may cost, and where a remote parser is.
#[derive(Debug, Clone)]
pub struct Parser {
    /// Bounds for one document.
    pub limits: ParseLimits,
    /// Which documents go to LlamaParse.
    pub choice: ParserChoice,
    /// Key of LlamaParse; `None`: documents are parsed locally.
    pub llamaparse_api_key: Option<Secret<String>>,
    /// Address of LlamaParse.
    pub llamaparse_url: Option<Url>,
    /// How thoroughly LlamaParse reads.
    pub llamaparse_tier: String,
    /// How long its answer is waited for.
    pub remote_timeout: Duration,
    /// Address at which LlamaParse reaches the API; `None`: it is asked instead.
    pub webhook_base_url: Option<Url>,
    /// What the URLs and headers of webhooks are made and checked with; `None`: none are taken. Development always has one.
    pub webhook_secret: Option<Secret<String>>,
}

impl Parser {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let stand_in = match r.layers.environment {
            Environment::Development => Some(Secret::new(DEVELOPMENT_SECRET.to_owned())),
            Environment::Staging | Environment::Production => None,
        };
        Self {
            limits: ParseLimits {
                max_pages: r.whole("PARSE_MAX_PAGES", 0..=u32::MAX),
                memory_bytes: r.required("PARSE_MEMORY_BYTES", |text| at_least_64_mib(values::bytes(text)?)),
                time: r.seconds("PARSE_TIMEOUT", 1.0..=3600.0),
                output_bytes: r.required("PARSE_OUTPUT_BYTES", |text| at_least_one(values::bytes(text)?)),
            },
            choice: r.required("PARSER", choice),
            llamaparse_api_key: r.secret("LLAMAPARSE_API_KEY"),
            llamaparse_url: r.url("LLAMAPARSE_API_URL"),
            llamaparse_tier: r.required("LLAMAPARSE_TIER", tier),
            remote_timeout: r.seconds("PARSE_REMOTE_TIMEOUT", 1.0..=86_400.0),
            webhook_base_url: r.url("WEBHOOK_BASE_URL"),
            webhook_secret: r.optional("WEBHOOK_SECRET", webhook_secret).or(stand_in),
        }
    }
}

/// A child needs some memory to start at all.
fn at_least_64_mib(bytes: u64) -> Result<u64, String> {
    if bytes >= 64 << 20 { Ok(bytes) } else { Err("is less than 64 MiB, in which no parser starts".to_owned()) }
}

fn at_least_one(bytes: u64) -> Result<u64, String> {
    if bytes > 0 { Ok(bytes) } else { Err("leaves no room for any text".to_owned()) }
}

fn choice(text: &str) -> Result<ParserChoice, String> {
    let known = ParserChoice::ALL.into_iter().find(|choice| choice.as_str().eq_ignore_ascii_case(text));
    known.ok_or_else(|| "is none of auto, local and llamaparse".to_owned())
}

fn tier(text: &str) -> Result<String, String> {
    if TIERS.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("is none of {}; `fast` gives no markdown", TIERS.join(", ")))
}

fn webhook_secret(text: &str) -> Result<Secret<String>, String> {
    const MIN_CHARS: usize = 32;
    if text.chars().count() < MIN_CHARS {
        return Err(format!("is shorter than {MIN_CHARS} characters"));
    }
    Ok(Secret::new(text.to_owned()))
}
