//! Rules between settings, and settings that a role needs.

use url::Url;

use super::{
    Auth, Config, Database, EmbedProvider, Embedder, Environment, Fault, Http, Money, Parser, ParserChoice, Role,
    Storage, StorageLocation, Variable, Worker, fault::shown,
};
use ::pg::{
    probe::SessionMode,
    url::{DatabaseUrl, TlsMode, is_loopback},
};

/// Adds the faults of settings that contradict each other, and warnings to `config.warnings`.
pub(crate) fn validate(config: &mut Config, faults: &mut Vec<Fault>) {
    let mut rules = Rules { config, faults, warnings: Vec::new() };
    rules.presence();
    rules.database();
    rules.auth();
    rules.storage();
    rules.queue();
    rules.services();
    rules.embedder();
    rules.money();
    let Rules { mut warnings, .. } = rules;
    config.warnings.append(&mut warnings);
}

/// The models that the image has.
const LOCAL_MODELS: [&str; 2] = ["multilingual-e5-small", "all-MiniLM-L6-v2"];

/// Finds nothing about settings that the role does not read.
struct Rules<'a> {
    config: &'a Config,
    faults: &'a mut Vec<Fault>,
    warnings: Vec<Fault>,
}

impl Rules<'_> {
    fn fault_if(&mut self, wrong: bool, variable: &Variable, problem: impl Into<String>, fix: &str) {
        let found = self.found(wrong, variable, problem, fix).filter(|fault| !self.faults.contains(fault));
        self.faults.extend(found);
    }

    fn warn_if(&mut self, wrong: bool, variable: &Variable, problem: impl Into<String>, fix: &str) {
        let found = self.found(wrong, variable, problem, fix);
        self.warnings.extend(found);
    }

    /// An empty `fix` stands for an example of a valid value.
    fn found(&self, wrong: bool, variable: &Variable, problem: impl Into<String>, fix: &str) -> Option<Fault> {
        let fix = || if fix.is_empty() { variable.assignment() } else { fix.to_owned() };
        (wrong && self.reads(variable)).then(|| Fault::new(variable.name, problem, fix()))
    }

    fn reads(&self, variable: &Variable) -> bool {
        variable.roles.contains(&self.config.role)
    }

    fn in_development(&self) -> bool {
        self.config.environment.is_development()
    }

    /// Adds a fault for a missing variable, unless it has a fault already.
    fn need(&mut self, variable: &Variable, present: bool) {
        if !present && self.reads(variable) && self.faults.iter().all(|fault| fault.name != variable.name) {
            self.faults.push(Fault::missing(variable));
        }
    }

    fn presence(&mut self) {
        let Config { database, storage, parser, embedder, role, .. } = self.config;
        let migrates_directly = *role == Role::Migrate && database.direct_url.is_some();
        self.need(&Database::DATABASE_URL, database.url.is_some() || migrates_directly);
        self.need(&Storage::STORAGE_URL, storage.location.is_some());
        self.need(&Storage::STORAGE_SIGNING_SECRET, storage.signing_secret.is_some());
        let is_folder = !matches!(storage.location, Some(StorageLocation::S3(_)));
        self.need(&Storage::AWS_ACCESS_KEY_ID, is_folder || storage.access_key_id.is_some());
        self.need(&Storage::AWS_SECRET_ACCESS_KEY, is_folder || storage.secret_access_key.is_some());
        let (has_key, called_back) = (parser.llamaparse_api_key.is_some(), parser.webhook_base_url.is_some());
        self.need(&Parser::LLAMAPARSE_API_KEY, has_key || parser.choice != ParserChoice::LlamaParse);
        let (has_embed_key, is_rented) =
            (embedder.openai_api_key.is_some(), embedder.provider == EmbedProvider::OpenAi);
        self.need(&Embedder::OPENAI_API_KEY, has_embed_key || !(is_rented && embedder.is_openai()));
        self.need(&Parser::WEBHOOK_SECRET, parser.webhook_secret.is_some() || !(has_key && called_back));
    }

    fn database(&mut self) {
        let Database { url, direct_url, read_url, .. } = &self.config.database;
        let named = [
            (&Database::DATABASE_URL, url),
            (&Database::DIRECT_URL, direct_url),
            (&Database::READ_DATABASE_URL, read_url),
        ];
        for (variable, url) in named {
            if let Some(url) = url {
                self.database_url(variable, url);
            }
        }
        let (Some(url), Some(direct_url)) = (url, direct_url) else { return };
        if let Some((direct, pooled)) = direct_url.project_ref().zip(url.project_ref()) {
            let problem = format!("is of Supabase project {direct}, but DATABASE_URL of {pooled}");
            self.fault_if(direct != pooled, &Database::DIRECT_URL, problem, "Copy both from the same project.");
        }
        let pooled = direct_url.supabase_pooler_mode() == Some(SessionMode::Transaction);
        let problem = "goes through a pooler in transaction mode (port 6543), which keeps no session";
        self.fault_if(pooled, &Database::DIRECT_URL, problem, "Use the session pooler's URL (port 5432).");
    }

    fn database_url(&mut self, variable: &Variable, url: &DatabaseUrl) {
        if let Some(file) = url.ca_file().filter(|_| url.tls_mode() != TlsMode::Disable)
            && let Err(error) = std::fs::File::open(file)
        {
            let problem = format!("names a file that cannot be read ({error}){}", shown(&file.to_string_lossy()));
            self.fault_if(true, &Database::DATABASE_CA_FILE, problem, "Mount the file, or correct its path.");
        }
        let ignored = url.ignored_parameters();
        let problem = format!("has parameters that are ignored: {}", ignored.join(", "));
        self.warn_if(!ignored.is_empty(), variable, problem, "Remove them.");
        let unchecked = matches!(url.tls_mode(), TlsMode::Disable | TlsMode::Require) && !url.is_local();
        let problem = "connects without checking the server's identity";
        let fix = "Remove sslmode, and set DATABASE_CA_FILE for a private authority.";
        self.warn_if(unchecked && !self.in_development(), variable, problem, fix);
    }

    fn auth(&mut self) {
        const MIN_SECRET_CHARS: usize = 32;
        let Config { auth, database, http, .. } = self.config;
        let project = auth.supabase_url.as_ref().and_then(|url| url.host_str()?.strip_suffix(".supabase.co"));
        if let Some((auth, data)) = project.zip(database.url.as_ref().and_then(DatabaseUrl::project_ref)) {
            let problem = format!("is of project {auth}, but DATABASE_URL of {data}");
            let fix = "Make sure that both belong to this environment.";
            self.warn_if(auth != data, &Auth::SUPABASE_URL, problem, fix);
        }
        if self.in_development() {
            return;
        }
        let is_short = auth.jwt_secret.as_ref().is_some_and(|s| s.expose().chars().count() < MIN_SECRET_CHARS);
        let problem = format!("is shorter than {MIN_SECRET_CHARS} characters and can be guessed");
        self.fault_if(is_short, &Auth::SUPABASE_JWT_SECRET, problem, "");
        let no_tokens = auth.supabase_url.is_none() && auth.jwt_secret.is_none();
        let problem = "is not set, nor is SUPABASE_JWT_SECRET: only API keys of `app keys` can log in";
        self.warn_if(no_tokens, &Auth::SUPABASE_URL, problem, "");
        let any_site = http.cors_origins.iter().any(|origin| origin == "*");
        self.warn_if(any_site, &Http::CORS_ORIGINS, "lets pages of all sites call the API", "");
    }

    /// Outside development, documents must go to a store that all processes share, and must be encrypted on the way.
    fn storage(&mut self) {
        let Storage { location, allow_local, endpoint, .. } = &self.config.storage;
        match location.as_ref().filter(|_| !self.in_development()) {
            None => {}
            Some(StorageLocation::Folder(_)) => {
                let problem = "is a folder of this machine, which processes on other machines do not see";
                let fix = "Use s3://…; or set STORAGE_ALLOW_LOCAL=true if one machine runs all processes.";
                self.fault_if(!allow_local, &Storage::STORAGE_URL, problem, fix);
            }
            Some(StorageLocation::S3(s3)) => {
                let Some(url) = &s3.endpoint else { return };
                let inherited = endpoint.as_ref() == Some(url);
                let variable = if inherited { &Storage::AWS_ENDPOINT_URL } else { &Storage::STORAGE_URL };
                let in_the_clear = url.scheme() != "https" && !is_this_machine(url);
                let problem = "has an endpoint without https://: documents would be sent unencrypted";
                self.fault_if(in_the_clear, variable, problem, "");
                self.service(variable, url);
            }
        }
    }

    fn queue(&mut self) {
        let Config { worker, http, platform, .. } = self.config;
        let (heartbeat, lease) = (worker.heartbeat.as_secs_f64(), worker.lease.as_secs_f64());
        let problem = format!(
            "is {heartbeat} s, not less than half of WORKER_LEASE ({lease} s): one missed heartbeat loses the job"
        );
        self.fault_if(worker.heartbeat * 2 >= worker.lease, &Worker::WORKER_HEARTBEAT, problem, "");
        let wrong = worker.retry_max_delay < worker.retry_base_delay;
        self.fault_if(wrong, &Worker::WORKER_RETRY_MAX_DELAY, "is shorter than WORKER_RETRY_BASE_DELAY", "");
        let delay = platform.shutdown_delay;
        for (variable, grace) in [(&Worker::WORKER_GRACE, worker.grace), (&Http::API_GRACE, http.grace)] {
            let (grace_s, delay_s) = (grace.as_secs_f64(), delay.as_secs_f64());
            let problem = format!("is {grace_s} s, but the platform kills after {delay_s} s (SHUTDOWN_DELAY)");
            self.fault_if(grace >= delay, variable, problem, "");
        }
    }

    /// In production, tokens must be encrypted on the way.
    fn services(&mut self) {
        let Config { auth, parser, http, environment, .. } = self.config;
        for (variable, url) in [
            (&Auth::SUPABASE_URL, &auth.supabase_url),
            (&Http::API_PUBLIC_URL, &http.public_url),
            (&Parser::WEBHOOK_BASE_URL, &parser.webhook_base_url),
            (&Parser::LLAMAPARSE_API_URL, &parser.llamaparse_url),
        ] {
            let Some(url) = url else { continue };
            let in_the_clear = url.scheme() != "https" && !is_this_machine(url);
            let problem = "does not begin with https://: tokens would be sent unencrypted";
            self.fault_if(in_the_clear && *environment == Environment::Production, variable, problem, "");
            self.service(variable, url);
        }
    }

    /// Passages and key must be encrypted on the way, and OpenAI has no local models.
    fn embedder(&mut self) {
        let Config { embedder, environment, .. } = self.config;
        let Some(url) = embedder.openai_url.as_ref().filter(|_| embedder.provider == EmbedProvider::OpenAi) else {
            return;
        };
        let in_the_clear = url.scheme() != "https" && !is_this_machine(url) && *environment == Environment::Production;
        let problem = "does not begin with https://: the key would be sent unencrypted";
        let has_key = embedder.openai_api_key.is_some();
        self.fault_if(in_the_clear && has_key, &Embedder::OPENAI_API_URL, problem, "");
        let problem =
            "does not begin with https://: passages are sent unencrypted, which is right within a private network only";
        let fix = "Use https:// for a service outside it.";
        self.warn_if(in_the_clear && !has_key, &Embedder::OPENAI_API_URL, problem, fix);
        let is_local = LOCAL_MODELS.contains(&embedder.model.as_str()) && embedder.is_openai();
        let problem = format!("is {}, which OpenAI does not have", embedder.model);
        self.fault_if(is_local, &Embedder::EMBED_MODEL, problem, "Example: EMBED_MODEL=text-embedding-3-small");
        self.service(&Embedder::OPENAI_API_URL, url);
    }

    /// Under a cap, what is bought must have a price.
    fn money(&mut self) {
        let Config { money, embedder, parser, .. } = self.config;
        if !money.caps().are_set() {
            return;
        }
        let is_unpriced = embedder.provider == EmbedProvider::OpenAi && money.tokens(&embedder.model).is_none();
        let problem = format!("has no price for {}, so that no cap can be held", embedder.model);
        let fix =
            format!("Example: EMBED_PRICES={}=2, or 0 if it costs nothing; or set no MAX_CENTS_….", embedder.model);
        self.fault_if(is_unpriced, &Money::EMBED_PRICES, problem, &fix);
        let is_used = parser.llamaparse_api_key.is_some() && parser.choice != ParserChoice::Local;
        let is_unpriced = is_used && money.page(&parser.llamaparse_tier).is_none();
        let problem = format!("has no price for {}, so that no cap can be held", parser.llamaparse_tier);
        let fix = format!("Example: LLAMAPARSE_PRICES={}=0.375; or set no MAX_CENTS_….", parser.llamaparse_tier);
        self.fault_if(is_unpriced, &Money::LLAMAPARSE_PRICES, problem, &fix);
    }

    /// In production, no service is on this machine: the address is that of a test.
    fn service(&mut self, variable: &Variable, url: &Url) {
        let wrong = is_this_machine(url) && self.config.environment == Environment::Production;
        self.fault_if(wrong, variable, "is an address of this machine, which has no services in production", "");
    }
}

fn is_this_machine(url: &Url) -> bool {
    is_loopback(url.host_str().unwrap_or_default().trim_matches(['[', ']']))
}
