//! What holds between settings, and what a role cannot do without.

use url::Url;

use super::{
    Auth, Config, Database, Environment, Fault, Http, Parser, ParserChoice, Role, Storage, StorageLocation, Variable,
    Worker, fault::is_harmless,
};
use crate::db::url::{DatabaseUrl, PoolerMode, TlsMode, is_loopback};

/// Adds every fault that shows only when settings are looked at together, and warnings to `config.warnings`.
pub(crate) fn validate(config: &mut Config, faults: &mut Vec<Fault>) {
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
    /// Whether this role reads a variable; it is not told of others.
    fn reads(&self, variable: &Variable) -> bool {
        variable.roles.contains(&self.config.role)
    }

    fn fault(&mut self, variable: &Variable, problem: impl Into<String>) {
        self.faults.push(Fault::new(variable.name, problem, variable.assignment()));
    }

    fn warn(&mut self, variable: &Variable, problem: impl Into<String>) {
        self.warnings.push(Fault::new(variable.name, problem, variable.assignment()));
    }

    /// Notes a missing variable, unless its value is a fault already.
    fn need(&mut self, variable: &Variable, present: bool) {
        if !present && self.reads(variable) && self.faults.iter().all(|fault| fault.name != variable.name) {
            self.faults.push(Fault::missing(variable));
        }
    }

    fn presence(&mut self) {
        let Config { database, storage, parser, role, .. } = self.config;
        let migrates_directly = *role == Role::Migrate && database.direct_url.is_some();
        self.need(&Database::DATABASE_URL, database.url.is_some() || migrates_directly);
        self.need(&Storage::STORAGE_URL, storage.location.is_some());
        self.need(&Storage::STORAGE_SIGNING_SECRET, storage.signing_secret.is_some());
        if matches!(storage.location, Some(StorageLocation::S3(_))) {
            self.need(&Storage::AWS_ACCESS_KEY_ID, storage.access_key_id.is_some());
            self.need(&Storage::AWS_SECRET_ACCESS_KEY, storage.secret_access_key.is_some());
        }
        let (has_key, called_back) = (parser.llamaparse_api_key.is_some(), parser.webhook_base_url.is_some());
        self.need(&Parser::LLAMAPARSE_API_KEY, has_key || parser.choice != ParserChoice::LlamaParse);
        self.need(&Parser::WEBHOOK_SECRET, parser.webhook_secret.is_some() || !(has_key && called_back));
    }

    fn database(&mut self) {
        let Database { url, direct_url: direct, .. } = &self.config.database;
        for (variable, url) in [(&Database::DATABASE_URL, url), (&Database::DIRECT_URL, direct)] {
            if let Some(url) = url {
                self.database_url(variable, url);
            }
        }
        let (Some(url), Some(direct)) = (url, direct) else { return };
        if let Some((direct, pooled)) = direct.project_ref().zip(url.project_ref())
            && direct != pooled
        {
            let problem = format!("is of Supabase project {direct}, but DATABASE_URL of {pooled}");
            self.faults.push(Fault::new("DIRECT_URL", problem, "Take both from the same project."));
        }
        if direct.supabase_pooler_mode() == Some(PoolerMode::Transaction) {
            let problem = "goes through a pooler in transaction mode (port 6543), which keeps no session";
            self.faults.push(Fault::new("DIRECT_URL", problem, "Take the session pooler's URL (port 5432)."));
        }
    }

    fn database_url(&mut self, variable: &Variable, url: &DatabaseUrl) {
        if let Some(file) = url.ca_file().filter(|_| url.tls_mode() != TlsMode::Disable)
            && let Err(error) = std::fs::File::open(file)
        {
            let named = file.to_str().filter(|file| is_harmless(file)).map(|file| format!(" `{file}`"));
            let problem = format!("names a file{} that cannot be read: {error}", named.unwrap_or_default());
            let fault = Fault::new("DATABASE_CA_FILE", problem, "Mount the file, or correct its path.");
            if !self.faults.contains(&fault) {
                self.faults.push(fault);
            }
        }
        if !url.ignored_parameters().is_empty() {
            let problem = format!("has parameters that mean nothing here: {}", url.ignored_parameters().join(", "));
            self.warnings.push(Fault::new(variable.name, problem, "Leave them out."));
        }
        let unchecked = matches!(url.tls_mode(), TlsMode::Disable | TlsMode::Require) && !url.is_local();
        if unchecked && !self.config.environment.is_development() {
            let problem = "connects without checking which server answers";
            let fix = "Remove sslmode, and set DATABASE_CA_FILE if the authority is a private one.";
            self.warnings.push(Fault::new(variable.name, problem, fix));
        }
    }

    fn auth(&mut self) {
        const MIN_SECRET_CHARS: usize = 32;
        let Config { auth, environment, database, http, .. } = self.config;
        if !self.reads(&Auth::SUPABASE_URL) {
            return;
        }
        let project = auth.supabase_url.as_ref().and_then(|url| url.host_str()?.strip_suffix(".supabase.co"));
        if let Some((auth, data)) = project.zip(database.url.as_ref().and_then(DatabaseUrl::project_ref))
            && auth != data
        {
            let problem = format!("is of project {auth}, but DATABASE_URL of {data}");
            let fix = "Make sure that both belong to this environment.";
            self.warnings.push(Fault::new("SUPABASE_URL", problem, fix));
        }
        if environment.is_development() {
            return;
        }
        if auth.jwt_secret.as_ref().is_some_and(|secret| secret.expose().chars().count() < MIN_SECRET_CHARS) {
            let problem = format!("is shorter than {MIN_SECRET_CHARS} characters and can be guessed");
            self.fault(&Auth::SUPABASE_JWT_SECRET, problem);
        }
        if auth.supabase_url.is_none() && auth.jwt_secret.is_none() {
            let problem = "is not set, nor is SUPABASE_JWT_SECRET: only API keys of `app keys` can log in";
            self.warn(&Auth::SUPABASE_URL, problem);
        }
        if http.cors_origins.iter().any(|origin| origin == "*") {
            self.warn(&Http::CORS_ORIGINS, "lets the pages of any site call the API");
        }
    }

    /// Outside development, documents go to a store that all processes share, and not in the clear.
    fn storage(&mut self) {
        let Config { storage, environment, .. } = self.config;
        let Some(location) = &storage.location else { return };
        if environment.is_development() || !self.reads(&Storage::STORAGE_URL) {
            return;
        }
        match location {
            StorageLocation::Folder(_) if !storage.allow_local => {
                let problem = "is a folder of this machine, which the other processes do not see";
                let fix = "Use s3://…; or, where one machine runs everything, set STORAGE_ALLOW_LOCAL=true.";
                self.faults.push(Fault::new("STORAGE_URL", problem, fix));
            }
            StorageLocation::Folder(_) => {}
            StorageLocation::S3(s3) => {
                let Some(url) = &s3.endpoint else { return };
                // The one of the two that names the endpoint.
                let inherited = storage.endpoint.as_ref() == Some(url);
                let variable = if inherited { &Storage::AWS_ENDPOINT_URL } else { &Storage::STORAGE_URL };
                if is_this_machine(url) {
                    self.refuse_this_machine(variable);
                } else if url.scheme() != "https" {
                    let problem = "has an endpoint without https://, so that documents would travel in the clear";
                    self.fault(variable, problem);
                }
            }
        }
    }

    fn queue(&mut self) {
        let Config { worker, http, platform, .. } = self.config;
        if self.reads(&Worker::WORKER_LEASE) {
            if worker.heartbeat * 2 >= worker.lease {
                let (beat, lease) = (worker.heartbeat.as_secs_f64(), worker.lease.as_secs_f64());
                let problem =
                    format!("is {beat} s, not less than half of WORKER_LEASE ({lease} s): one lost beat loses the job");
                self.fault(&Worker::WORKER_HEARTBEAT, problem);
            }
            if worker.retry_max_delay < worker.retry_base_delay {
                self.fault(&Worker::WORKER_RETRY_MAX_DELAY, "is shorter than WORKER_RETRY_BASE_DELAY");
            }
        }
        for (variable, grace) in [(&Worker::WORKER_GRACE, worker.grace), (&Http::API_GRACE, http.grace)] {
            if self.reads(variable) && grace >= platform.shutdown_delay {
                let (grace, delay) = (grace.as_secs_f64(), platform.shutdown_delay.as_secs_f64());
                let problem = format!("is {grace} s, but the platform kills after {delay} s (SHUTDOWN_DELAY)");
                self.fault(variable, problem);
            }
        }
    }

    /// In production, no stand-in on this machine may be mistaken for a service, and nothing that carries tokens may
    /// go in the clear.
    fn services(&mut self) {
        let Config { auth, parser, http, .. } = self.config;
        for (variable, url) in [
            (&Auth::SUPABASE_URL, &auth.supabase_url),
            (&Http::API_PUBLIC_URL, &http.public_url),
            (&Parser::WEBHOOK_BASE_URL, &parser.webhook_base_url),
            (&Parser::LLAMAPARSE_API_URL, &parser.llamaparse_url),
        ] {
            let Some(url) = url.as_ref().filter(|_| self.reads(variable)) else { continue };
            if is_this_machine(url) {
                self.refuse_this_machine(variable);
            } else if url.scheme() != "https" && self.config.environment == Environment::Production {
                self.fault(variable, "does not begin with https://, so that tokens would travel in the clear");
            }
        }
    }

    fn refuse_this_machine(&mut self, variable: &Variable) {
        if self.config.environment == Environment::Production {
            self.fault(variable, "is an address of this machine, where in production no service is");
        }
    }
}

fn is_this_machine(url: &Url) -> bool {
    is_loopback(url.host_str().unwrap_or_default().trim_matches(['[', ']']))
}
