//! What holds between settings, and what a role cannot do without.

use url::Url;

use super::{
    Config, Environment, Fault, ParserChoice, Role, StorageLocation,
    reader::{fault_about, is_harmless, missing},
    variable,
};
use pg::url::{DatabaseUrl, PoolerMode, TlsMode, is_loopback};

/// Adds every fault that shows only when settings are looked at together, and warnings to `config.warnings`.
pub(super) fn validate(config: &mut Config, faults: &mut Vec<Fault>) {
    let mut findings = Findings { config, faults, warnings: Vec::new() };
    findings.presence();
    findings.database();
    findings.auth();
    findings.storage();
    findings.queue();
    findings.services();
    let Findings { mut warnings, .. } = findings;
    config.warnings.append(&mut warnings);
}

struct Findings<'a> {
    config: &'a Config,
    faults: &'a mut Vec<Fault>,
    warnings: Vec<Fault>,
}

impl Findings<'_> {
    /// Whether this role reads a variable; rules about others are none of its business.
    fn reads(&self, name: &str) -> bool {
        variable(name).is_some_and(|v| v.roles.contains(&self.config.role))
    }

    fn fault(&mut self, name: &str, problem: impl Into<String>, fix: &str) {
        self.faults.push(fault_about(name, problem, fix));
    }

    fn warn(&mut self, name: &str, problem: impl Into<String>, fix: &str) {
        self.warnings.push(fault_about(name, problem, fix));
    }

    /// Notes a missing variable, unless its value is a fault already.
    fn need(&mut self, name: &str, present: bool) {
        if !present && self.reads(name) && self.faults.iter().all(|fault| fault.name != name) {
            self.faults.push(missing(name));
        }
    }

    fn presence(&mut self) {
        let Config { database, storage, role, .. } = self.config;
        let migrates_directly = *role == Role::Migrate && database.direct_url.is_some();
        self.need("DATABASE_URL", database.url.is_some() || migrates_directly);
        self.need("STORAGE_URL", storage.location.is_some());
        self.need("STORAGE_SIGNING_SECRET", storage.signing_secret.is_some());
        if matches!(storage.location, Some(StorageLocation::S3(_))) {
            self.need("AWS_ACCESS_KEY_ID", storage.access_key_id.is_some());
            self.need("AWS_SECRET_ACCESS_KEY", storage.secret_access_key.is_some());
        }
        let Config { parser, .. } = self.config;
        let (has_key, called_back) = (parser.llamaparse_api_key.is_some(), parser.webhook_base_url.is_some());
        self.need("LLAMAPARSE_API_KEY", has_key || parser.choice != ParserChoice::LlamaParse);
        self.need("WEBHOOK_SECRET", parser.webhook_secret.is_some() || !(has_key && called_back));
    }

    fn database(&mut self) {
        let database = &self.config.database;
        for (name, url) in [("DATABASE_URL", &database.url), ("DIRECT_URL", &database.direct_url)] {
            if let Some(url) = url {
                self.database_url(name, url);
            }
        }
        let (Some(url), direct) = (&database.url, &database.direct_url) else { return };
        if let Some((direct, pooled)) = direct.as_ref().and_then(|d| d.project_ref().zip(url.project_ref()))
            && direct != pooled
        {
            let problem = format!("is of Supabase project {direct}, but DATABASE_URL of {pooled}");
            self.fault("DIRECT_URL", problem, "Take both from the same project.");
        }
        if direct.as_ref().and_then(DatabaseUrl::supabase_pooler_mode) == Some(PoolerMode::Transaction) {
            let fix = "Take the session pooler's URL (port 5432).";
            self.fault(
                "DIRECT_URL",
                "goes through a pooler in transaction mode (port 6543), which keeps no session",
                fix,
            );
        }
    }

    fn database_url(&mut self, name: &str, url: &DatabaseUrl) {
        if let Some(file) = url.ca_file().filter(|_| url.tls_mode() != TlsMode::Disable)
            && let Err(error) = std::fs::File::open(file)
        {
            let named = file.to_str().filter(|file| is_harmless(file)).map(|file| format!(" `{file}`"));
            let problem = format!("names a file{} that cannot be read: {error}", named.unwrap_or_default());
            let fault = fault_about("DATABASE_CA_FILE", problem, "Mount the file, or correct its path.");
            if !self.faults.contains(&fault) {
                self.faults.push(fault);
            }
        }
        if !url.ignored_parameters().is_empty() {
            let problem = format!("has parameters that mean nothing here: {}", url.ignored_parameters().join(", "));
            self.warn(name, problem, "Leave them out.");
        }
        let unchecked = matches!(url.tls_mode(), TlsMode::Disable | TlsMode::Require) && !url.is_local();
        if unchecked && !self.config.environment.is_development() {
            let fix = "Remove sslmode, and set DATABASE_CA_FILE if the authority is a private one.";
            self.warn(name, "connects without checking who answers", fix);
        }
    }

    fn auth(&mut self) {
        const MIN_SECRET_CHARS: usize = 32;
        if !self.reads("SUPABASE_URL") {
            return;
        }
        let Config { auth, environment, database, http, .. } = self.config;
        if let Some(secret) = &auth.jwt_secret
            && secret.expose().chars().count() < MIN_SECRET_CHARS
            && !environment.is_development()
        {
            let problem = format!("is shorter than {MIN_SECRET_CHARS} characters and can be guessed");
            self.fault("SUPABASE_JWT_SECRET", problem, "");
        }
        if auth.supabase_url.is_none() && auth.jwt_secret.is_none() && !environment.is_development() {
            let problem = "is not set, nor is SUPABASE_JWT_SECRET: only API keys of `app keys` can log in";
            self.warn("SUPABASE_URL", problem, "");
        }
        let project = auth.supabase_url.as_ref().and_then(|url| url.host_str()?.strip_suffix(".supabase.co"));
        if let Some((auth, data)) = project.zip(database.url.as_ref().and_then(DatabaseUrl::project_ref))
            && auth != data
        {
            let problem = format!("is of project {auth}, but DATABASE_URL of {data}");
            self.warn("SUPABASE_URL", problem, "Make sure that both belong to this environment.");
        }
        if http.cors_origins.iter().any(|origin| origin == "*") && !environment.is_development() {
            self.warn("CORS_ORIGINS", "lets the pages of any site call the API", "");
        }
    }

    fn storage(&mut self) {
        let Config { storage, environment, .. } = self.config;
        let folder = matches!(storage.location, Some(StorageLocation::Folder(_)));
        if folder && !storage.allow_local && !environment.is_development() && self.reads("STORAGE_URL") {
            let problem = "is a folder of this machine, which the other processes do not see";
            let fix = "Use s3://…; or, where one machine runs everything, set STORAGE_ALLOW_LOCAL=true.";
            self.fault("STORAGE_URL", problem, fix);
        }
    }

    fn queue(&mut self) {
        let Config { worker, http, platform, .. } = self.config;
        if self.reads("WORKER_LEASE") {
            if worker.heartbeat * 2 >= worker.lease {
                let (beat, lease) = (worker.heartbeat.as_secs_f64(), worker.lease.as_secs_f64());
                let problem =
                    format!("is {beat} s, not less than half of WORKER_LEASE ({lease} s): one lost beat loses the job");
                self.fault("WORKER_HEARTBEAT", problem, "");
            }
            if worker.retry_max_delay < worker.retry_base_delay {
                self.fault("WORKER_RETRY_MAX_DELAY", "is shorter than WORKER_RETRY_BASE_DELAY", "");
            }
        }
        for (name, grace) in [("WORKER_GRACE", worker.grace), ("API_GRACE", http.grace)] {
            if self.reads(name) && grace >= platform.shutdown_delay {
                let (grace, delay) = (grace.as_secs_f64(), platform.shutdown_delay.as_secs_f64());
                let problem = format!("is {grace} s, but the platform kills after {delay} s (SHUTDOWN_DELAY)");
                self.fault(name, problem, "");
            }
        }
    }

    /// In production, no stand-in on this machine may be mistaken for a service, and nothing that carries tokens may
    /// go in the clear.
    fn services(&mut self) {
        if self.config.embedder.openai_api_key.is_some() {
            let problem = "is set, but this build does not call that service yet: it embeds with a model of its own";
            self.warn("OPENAI_API_KEY", problem, "");
        }
        if self.config.environment != Environment::Production {
            return;
        }
        let Config { auth, parser, embedder, storage, http, .. } = self.config;
        let endpoint = match &storage.location {
            Some(StorageLocation::S3(s3)) => s3.endpoint.as_ref(),
            Some(StorageLocation::Folder(_)) | None => None,
        };
        let services: [(&str, Option<&Url>, bool); 6] = [
            ("SUPABASE_URL", auth.supabase_url.as_ref(), true),
            ("API_PUBLIC_URL", http.public_url.as_ref(), true),
            ("WEBHOOK_BASE_URL", parser.webhook_base_url.as_ref(), true),
            ("LLAMAPARSE_API_URL", parser.llamaparse_url.as_ref(), true),
            // These may be in a private network without certificates.
            ("OPENAI_API_URL", embedder.openai_url.as_ref(), false),
            ("AWS_ENDPOINT_URL", endpoint, false),
        ];
        for (name, url, needs_tls) in services {
            let Some(url) = url.filter(|_| self.reads(name)) else { continue };
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
            if is_loopback(host) {
                self.fault(name, "is an address of this machine, where in production no service is", "");
            } else if needs_tls && url.scheme() != "https" {
                self.fault(name, "does not begin with https://, so that tokens would travel in the clear", "");
            }
        }
    }
}
