use super::*;
use ::domain::ports::ParseLimits;

named! {
    /// Which documents LlamaParse reads. All are verified and read locally first.
    #[derive(Default)]
    ParserChoice {
        /// Those that cannot be read locally (pages that are pictures), and those uploaded with `ocr`; none without a key.
        #[default]
        Auto = "auto",
        /// None.
        Local = "local",
        /// Every PDF and Office document.
        LlamaParse = "llamaparse",
    }
}

named! {
    /// What reads pages that are pictures.
    #[derive(Default)]
    OcrChoice {
        /// Tesseract, where it is installed; else the built-in engine, where its models are.
        #[default]
        Auto = "auto",
        /// Tesseract; without it, such documents wait for a worker that has it.
        Tesseract = "tesseract",
        /// The built-in engine; without its models, such documents wait for a worker that has them.
        Builtin = "builtin",
        /// Nothing.
        Off = "off",
    }
}

settings! {
    /// Limits for parsing one document, and the remote parser.
    Parser in "parser", titled "Parser";

    /// Pages, slides or sheets of one document; `0`: no limit.
    PARSE_MAX_PAGES[PAGES] max_pages: u32 = whole(0..=u32::MAX), default "500";
    /// Seconds of CPU time that parsing one document may take, OCR apart. By the clock it may take longer: only a parser that gets
    /// next to none for this time is stopped, and tried again.
    PARSE_TIMEOUT[READERS] timeout: Duration = seconds(1.0..=3600.0), default "120";
    /// Memory (address space) that parsing one document may take, in bytes or with a unit. Default: what the container's limit
    /// (cgroup), else the machine's memory, leaves beside the worker and its model, shared among the parser's children (one a
    /// core), 2 GiB at most. A worker prints it at its start; `app check` compares it with the container.
    PARSE_MEMORY_BYTES[READERS] memory_bytes: u64 = memory, optional "1 GiB";
    /// Text that parsing one document may yield, in bytes or with a unit.
    PARSE_OUTPUT_BYTES[READERS] output_bytes: u64 = output, default "64 MiB";
    /// PDFium's library, which reads PDFs and shows their pages. Without it: beside the executable, or where `scripts/fetch` and the image have it.
    PDFIUM_LIBRARY[PAGES] pdfium_library: PathBuf = path, optional "/usr/local/lib/libpdfium.so";
    /// What reads pages that are pictures: `auto`, Tesseract where the program `tesseract` is on the `PATH`, else the built-in
    /// engine where `scripts/fetch ocr` or the image has its models; `tesseract` or `builtin`, that one, and without it these
    /// documents wait for a worker that has it; `off`, nothing.
    OCR_ENGINE[READERS] ocr_engine: OcrChoice = one_of(OcrChoice::ALL), default "auto";
    /// Languages for OCR, as Tesseract names them, joined by `+`. Tesseract needs the data of each; the built-in engine reads
    /// Latin letters, Chinese and Japanese, and needs none.
    OCR_LANGUAGES[READERS] ocr_languages: String = languages, default "eng";
    /// Seconds of CPU time that OCR of one page may take.
    OCR_PAGE_CPU[READERS] ocr_page_cpu: Duration = seconds(1.0..=600.0), default "30";
    /// Passages of one document; `0`: no limit.
    MAX_PASSAGES_PER_DOCUMENT[PAGES] max_passages: usize = whole(0..=10_000_000), default "50000";
    /// Which documents LlamaParse reads: `auto`, those that cannot be read here (pages that are pictures) and those
    /// uploaded with `ocr`, where its key is set; `local`, none; `llamaparse`, every PDF and Office document. All are
    /// verified and read here first; text, Markdown and HTML are never sent.
    PARSER[PAGES] choice: ParserChoice = one_of(ParserChoice::ALL), default "auto";
    /// Key of LlamaParse. Without it, documents are read here only.
    LLAMAPARSE_API_KEY[WORKER] llamaparse_api_key: Secret<String> = secret, secret "llx-…";
    /// Address of LlamaParse; it has another for its European region.
    LLAMAPARSE_API_URL[WORKER] llamaparse_url: Option<Url> = some_url, default "https://api.cloud.llamaindex.ai";
    /// How thoroughly LlamaParse reads, and what it charges: `cost_effective`, `agentic` or `agentic_plus`.
    LLAMAPARSE_TIER[PAGES] llamaparse_tier: String = tier, default "cost_effective";
    /// Seconds that LlamaParse may take for one document, its queue included.
    PARSE_REMOTE_TIMEOUT[WORKER] remote_timeout: Duration = seconds(1.0..=86_400.0), default "1800";
    /// Address at which LlamaParse reaches the API to report that it is done. Without it, workers poll LlamaParse every 5 to
    /// 60 s.
    WEBHOOK_BASE_URL[WORKER] webhook_base_url: Url = service_url, optional "https://api.example.com";
    /// Secret from which the URLs and headers of webhooks are made, 32 characters or more, the same in every process of API
    /// and worker. Needed with `WEBHOOK_BASE_URL`; development has one.
    WEBHOOK_SECRET[BOTH] webhook_secret: Secret<String> = long_secret, secret "32 random bytes: openssl rand -hex 32";
}

/// The default of WEBHOOK_SECRET in development. It is not secret.
const DEVELOPMENT_SECRET: &str = "development only: this webhook secret is public";

impl Parser {
    /// Sets the secret for webhooks in development.
    pub(crate) fn complete(mut self, reader: &Reader<'_>) -> Self {
        if self.webhook_secret.is_none() && reader.environment() == Environment::Development {
            self.webhook_secret = Some(Secret::new(DEVELOPMENT_SECRET.to_owned()));
        }
        self
    }

    /// Limits for one document, of which the caller reckons the memory.
    pub fn limits(&self, memory_bytes: u64) -> ParseLimits {
        ParseLimits { max_pages: self.max_pages, memory_bytes, time: self.timeout, output_bytes: self.output_bytes }
    }
}

/// A parser process needs some memory to start.
fn memory(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    if bytes >= 64 << 20 { Ok(bytes) } else { Err("is less than 64 MiB, in which no parser starts".to_owned()) }
}

fn output(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    if bytes > 0 { Ok(bytes) } else { Err("leaves no room for any text".to_owned()) }
}

/// Names of language data: they become arguments of a program.
fn languages(text: &str) -> Result<String, String> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_/".contains(&b));
    if text.split('+').all(is_name) {
        return Ok(text.to_owned());
    }
    Err("is no list of Tesseract's languages: for example `eng`, or `eng+deu`".to_owned())
}

fn tier(text: &str) -> Result<String, String> {
    // LlamaParse, "Parse File".
    const TIERS: [&str; 3] = ["cost_effective", "agentic", "agentic_plus"];
    if TIERS.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("is not one of {}; `fast` gives no markdown", TIERS.join(", ")))
}
