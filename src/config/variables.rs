//! Every variable there is: the one table that the readers, the documentation and `.env.example` are made from.
//! Defaults stand in `config/default.toml` and its sisters, not here.

use super::environment::Role::{self, Api, Check, Client, Dev, Keys, Migrate, Worker};

/// How a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// As it is.
    Open,
    /// Never, and it is taken from the environment only: a file would be committed.
    Secret,
}

/// One variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// In the environment.
    pub name: &'static str,
    /// In the files, as `section.key`; `None`: from the environment only.
    pub key: Option<&'static str>,
    /// What it means, in a sentence, with its unit and special values.
    pub meaning: &'static str,
    /// A right value.
    pub example: &'static str,
    /// The roles that read it.
    pub roles: &'static [Role],
    /// How its value may be shown.
    pub secrecy: Secrecy,
}

impl Variable {
    /// The part of the key before the dot, or the group of a variable without a key.
    pub fn section(&self) -> &'static str {
        SECTIONS.iter().rev().find(|(first, _)| position(first) <= position(self.name)).map_or("", |(_, name)| name)
    }
}

fn position(name: &str) -> Option<usize> {
    VARIABLES.iter().position(|v| v.name == name)
}

/// The variable of that name.
pub fn variable(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|v| v.name == name)
}

const ALL: &[Role] = &[Api, Worker, Migrate, Check, Dev, Keys, Client];
const SERVERS: &[Role] = &[Api, Worker, Migrate, Check, Dev, Keys];
const DATABASE: &[Role] = &[Api, Worker, Migrate, Check, Keys];
const BOTH: &[Role] = &[Api, Worker, Check, Dev];
const API: &[Role] = &[Api, Check, Dev];
const WORKER: &[Role] = &[Worker, Check, Dev];
const MODEL: &[Role] = &[Api, Worker, Migrate, Check, Dev];
const CLIENT: &[Role] = &[Client, Check];
const CHECK: &[Role] = &[Check];

const fn set(
    name: &'static str,
    key: &'static str,
    roles: &'static [Role],
    example: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable { name, key: Some(key), meaning, example, roles, secrecy: Secrecy::Open }
}

const fn env(name: &'static str, roles: &'static [Role], example: &'static str, meaning: &'static str) -> Variable {
    Variable { name, key: None, meaning, example, roles, secrecy: Secrecy::Open }
}

const fn secret(name: &'static str, roles: &'static [Role], example: &'static str, meaning: &'static str) -> Variable {
    Variable { name, key: None, meaning, example, roles, secrecy: Secrecy::Secret }
}

/// The first variable of each group of [`VARIABLES`], and the group's title.
pub const SECTIONS: &[(&str, &str)] = &[
    ("ENVIRONMENT", "Everything"),
    ("DATABASE_URL", "Database"),
    ("PORT", "HTTP"),
    ("UPLOAD_MAX_BYTES", "Uploads"),
    ("SUPABASE_URL", "Auth"),
    ("STORAGE_URL", "Storage"),
    ("WORKER_CONCURRENCY", "Worker"),
    ("RETENTION_EVENTS_DAYS", "Retention"),
    ("PARSE_MAX_PAGES", "Parser"),
    ("EMBED_MODEL", "Embedder"),
    ("APP_URL", "Clients and `app dev`"),
    ("RENDER_GIT_COMMIT", "Platform"),
];

/// Every variable, grouped as in [`SECTIONS`].
#[rustfmt::skip] // One variable is two lines: what the machine needs, what the reader needs.
pub const VARIABLES: &[Variable] = &[
    env("ENVIRONMENT", SERVERS, "production",
        "Which deployment this is: `development`, `staging` or `production`. The database is stamped with it."),
    env("APP_CONFIG_DIR", ALL, "/etc/app",
        "Folder of `default.toml` and `{environment}.toml`. Default: `config` in the working folder, else the copies in the program."),
    set("LOG_LEVEL", "telemetry.log_level", ALL, "info",
        "What is logged: `error`, `warn`, `info`, `debug`, `trace` or `off`, and per module, as in `info,app::worker=debug`."),
    set("LOG_FORMAT", "telemetry.log_format", ALL, "json",
        "`text` for people, `json` for one object a line."),

    secret("DATABASE_URL", DATABASE, "postgres://app:PASSWORD@db.example.com:5432/app",
        "Postgres, directly or through a pooler in either mode. `sslmode` and `sslrootcert` are honoured; TLS is `verify-full` unless the host is this machine."),
    secret("DIRECT_URL", DATABASE, "postgres://app:PASSWORD@db.example.com:5432/app",
        "The same database by a connection that keeps its session, for migrations and LISTEN. Needed where `DATABASE_URL` goes through a pooler in transaction mode; without it workers poll."),
    set("DATABASE_CA_FILE", "database.ca_file", DATABASE, "/etc/app/prod-ca.crt",
        "PEM file of the authorities that may sign the server's certificate, instead of the system's. Supabase needs it."),
    set("DATABASE_POOL_SIZE", "database.pool_size", BOTH, "10",
        "Connections that one process may hold."),
    set("DATABASE_CONNECT_TIMEOUT", "database.connect_timeout", SERVERS, "5",
        "Seconds to wait for a new connection."),
    set("DATABASE_POOL_TIMEOUT", "database.pool_timeout", BOTH, "5",
        "Seconds to wait for a free connection of the pool."),
    set("DATABASE_MAX_AGE", "database.max_age", BOTH, "1800",
        "Seconds after which a connection is replaced; `0`: never."),
    set("DATABASE_CONNECTION_LIMIT", "database.connection_limit", CHECK, "200",
        "Connections that the pooler behind `DATABASE_URL` grants to clients, for the budget of `app check`; `0`: the server's own limit, which does not count behind a pooler."),

    env("PORT", API, "10000",
        "Port to listen on, set by the platform; wins over `API_PORT`."),
    set("API_PORT", "http.port", API, "8000",
        "Port to listen on where the platform sets no `PORT`."),
    set("API_HOST", "http.host", API, "0.0.0.0",
        "Address to listen on."),
    set("API_PUBLIC_URL", "http.public_url", API, "https://api.example.com",
        "Address at which clients reach the API, for upload URLs. Default: `RENDER_EXTERNAL_URL`, else the request's own host."),
    set("API_THREADS", "http.threads", API, "2",
        "Threads that serve requests; `0`: one a core."),
    set("API_GRACE", "http.grace", API, "25",
        "Seconds that running requests get at shutdown."),
    set("API_BODY_LIMIT", "http.body_limit", API, "2 MiB",
        "Largest JSON body, in bytes or with a unit; `0`: no limit."),
    set("API_EVENT_STREAMS", "http.event_streams", API, "200",
        "Live timelines (`text/event-stream`) that one process serves at a time; `0`: no limit."),
    set("API_EVENT_STREAMS_PER_USER", "http.event_streams_per_user", API, "20",
        "Live timelines of one user at a time in one process; `0`: no limit."),
    set("API_EVENT_STREAM_LIFETIME", "http.event_stream_lifetime", API, "900",
        "Seconds after which a live timeline ends, so that its reader connects again; `0`: it lasts to the job's end."),
    set("API_RATE_PER_MINUTE", "http.rate_per_minute", API, "600",
        "Requests a minute that one user may make of one instance, a sixth of them at once; `0`: no limit."),
    set("API_LOGIN_FAILURES_PER_MINUTE", "http.login_failures_per_minute", API, "60",
        "Refused tokens and keys a minute from one address; beyond, no API key from there is looked up until it has waited; `0`: no limit."),
    set("API_TRUSTED_PROXIES", "http.trusted_proxies", API, "2",
        "Proxies before the API that append to `X-Forwarded-For`, from whose entries the client's address is taken (Render: 2); `0`: the header is not believed."),
    set("API_MAX_CONNECTIONS", "http.max_connections", API, "2000",
        "Connections that one instance holds at a time, more wait to be accepted; `0`: no limit."),
    set("API_HEAD_TIMEOUT", "http.head_timeout", API, "10",
        "Seconds that a request's line and headers may take to arrive."),
    set("API_BODY_GRACE", "http.body_grace", API, "30",
        "Seconds that a body may keep the API waiting, beyond those that `API_BODY_MIN_RATE` grants for what has come."),
    set("API_BODY_MIN_RATE", "http.body_min_rate", API, "8 KiB",
        "Slowest rate of a body in the long run, in bytes a second or with a unit; `0`: no limit, and none on its time."),
    set("CORS_ORIGINS", "http.cors_origins", API, "https://app.example.com,https://admin.example.com",
        "Origins whose pages may call the API, separated by commas; `*`: all; empty: none."),

    set("UPLOAD_MAX_BYTES", "uploads.max_bytes", BOTH, "25 MiB",
        "Largest file, in bytes or with a unit; `0`: no limit."),
    set("UPLOAD_MAX_FILENAME", "uploads.max_filename", API, "120",
        "Longest file name, in characters; `0`: no limit."),
    set("UPLOAD_MAX_FILES", "uploads.max_files", API, "20",
        "Files in one multipart request; `0`: no limit."),
    set("UPLOAD_EXPIRY", "uploads.expiry", BOTH, "3600",
        "Seconds that a client has to send the bytes of a declared upload."),
    set("UPLOADS_PER_DAY", "uploads.per_day", API, "30",
        "Uploads a day that one user may make; `0`: no limit."),

    set("SUPABASE_URL", "auth.supabase_url", API, "https://abcdefghijklmnop.supabase.co",
        "The project whose users' tokens are taken; issuer and key set (JWKS) follow from it."),
    secret("SUPABASE_JWT_SECRET", API, "a-secret-of-32-characters-or-more",
        "Secret of tokens signed with HS256 (Supabase's legacy JWT secret)."),
    set("JWT_AUDIENCE", "auth.audience", API, "authenticated",
        "Audience that a token must name."),
    secret("SUPABASE_SERVICE_ROLE_KEY", BOTH, "eyJhbGciOi…",
        "Key for our own calls to Supabase; never taken from a caller."),

    set("STORAGE_URL", "storage.url", BOTH, "s3://documents/app?endpoint=https://abc.storage.supabase.co/storage/v1/s3&region=eu-west-2",
        "Where documents are kept: `s3://bucket/prefix?endpoint=…&region=…`, or a folder (`file:///var/lib/app`, `./storage`) where one machine does everything."),
    set("STORAGE_ALLOW_LOCAL", "storage.allow_local", BOTH, "true",
        "`true` takes a folder outside development too: only right when every process sees the same disk."),
    secret("STORAGE_SIGNING_SECRET", API, "32 random bytes: openssl rand -hex 32",
        "Signs our own upload URLs, 32 characters or more, the same in every process of the API. Development derives one."),
    secret("AWS_ACCESS_KEY_ID", BOTH, "AKIA…",
        "Key of an S3 store."),
    secret("AWS_SECRET_ACCESS_KEY", BOTH, "wJalr…",
        "Secret of that key."),
    set("AWS_REGION", "storage.region", BOTH, "eu-west-2",
        "Region of an S3 store whose `STORAGE_URL` names none."),
    set("AWS_ENDPOINT_URL", "storage.endpoint", BOTH, "https://minio.example.com",
        "Address of an S3 store other than AWS whose `STORAGE_URL` names none."),

    set("WORKER_CONCURRENCY", "worker.concurrency", WORKER, "4",
        "Jobs that one worker runs at a time."),
    set("WORKER_LEASE", "worker.lease", WORKER, "30",
        "Seconds that a claim lasts without a heartbeat; then another worker takes the job over."),
    set("WORKER_HEARTBEAT", "worker.heartbeat", WORKER, "10",
        "Seconds between heartbeats; less than half the lease, so that one may be missed."),
    set("WORKER_POLL_INTERVAL", "worker.poll_interval", WORKER, "5",
        "Seconds between looks for work where no notification arrives."),
    set("WORKER_LISTEN_POLL_INTERVAL", "worker.listen_poll_interval", WORKER, "30",
        "Seconds between looks for work where notifications are proven to arrive."),
    set("WORKER_MAX_RETRIES", "worker.max_retries", WORKER, "3",
        "Tries after the first before a job is given up."),
    set("WORKER_RETRY_BASE_DELAY", "worker.retry_base_delay", WORKER, "3",
        "Seconds before the first retry; doubles with each."),
    set("WORKER_RETRY_MAX_DELAY", "worker.retry_max_delay", WORKER, "300",
        "Seconds that a retry waits at most, unless a provider asks for more."),
    set("WORKER_GRACE", "worker.grace", WORKER, "25",
        "Seconds that running jobs get at shutdown before they are handed back."),
    set("MAX_RUNNING_JOBS_PER_USER", "worker.max_running_jobs_per_user", WORKER, "2",
        "Jobs of one user that run at a time; more wait; `0`: no limit."),
    set("WORKER_HTTP_PORT", "worker.http_port", WORKER, "9100",
        "Port on which `app worker` answers `/livez`, `/readyz` and `/metrics`; `0`: none. `app dev` answers them on the API's."),
    set("WORKER_HTTP_HOST", "worker.http_host", WORKER, "0.0.0.0",
        "Address for that port."),

    set("RETENTION_EVENTS_DAYS", "retention.events_days", WORKER, "90",
        "Days that the events of an ended job are kept; `0`: for ever."),
    set("RETENTION_WEBHOOKS_DAYS", "retention.webhooks_days", WORKER, "30",
        "Days that an applied webhook is remembered, so that it cannot be played again; `0`: for ever."),
    set("RETENTION_JOBS_DAYS", "retention.jobs_days", WORKER, "0",
        "Days that an ended job is kept once a later job of its document has taken its place; `0`: for ever. A document's latest job stays as long as the document."),
    set("RETENTION_RECEIPTS_DAYS", "retention.receipts_days", WORKER, "365",
        "Days that the receipt of a finished deletion is kept; `0`: for ever."),

    set("PARSE_MAX_PAGES", "parser.max_pages", WORKER, "500",
        "Pages, slides or sheets of one document; `0`: no limit."),
    set("PARSE_TIMEOUT", "parser.timeout", WORKER, "120",
        "Seconds of wall time, and of CPU time, that parsing one document may take."),
    set("PARSE_MEMORY_BYTES", "parser.memory_bytes", WORKER, "2 GiB",
        "Memory (address space) that parsing one document may take, in bytes or with a unit."),
    set("PARSE_OUTPUT_BYTES", "parser.output_bytes", WORKER, "64 MiB",
        "Text that parsing one document may yield, in bytes or with a unit."),
    set("PARSER", "parser.choice", WORKER, "auto",
        "Which documents LlamaParse reads: `auto`, those that cannot be read here (pages that are pictures) and those uploaded with `ocr`, where its key is set; `local`, none; `llamaparse`, every PDF and Office document. All are verified and read here first; text, Markdown and HTML are never sent."),
    secret("LLAMAPARSE_API_KEY", WORKER, "llx-…",
        "Key of LlamaParse. Without it, documents are read here only."),
    set("LLAMAPARSE_API_URL", "parser.llamaparse_url", WORKER, "https://api.cloud.llamaindex.ai",
        "Address of LlamaParse; it has another for its European region."),
    set("LLAMAPARSE_TIER", "parser.llamaparse_tier", WORKER, "cost_effective",
        "How thoroughly LlamaParse reads, and what it charges: `cost_effective`, `agentic` or `agentic_plus`."),
    set("PARSE_REMOTE_TIMEOUT", "parser.remote_timeout", WORKER, "1800",
        "Seconds that LlamaParse may take for one document, its queue included."),
    set("WEBHOOK_BASE_URL", "parser.webhook_base_url", WORKER, "https://api.example.com",
        "Address at which LlamaParse reaches the API, so that it can say when it is done. Without it, it is asked every 5 to 60 s."),
    secret("WEBHOOK_SECRET", BOTH, "32 random bytes: openssl rand -hex 32",
        "What the URLs and headers of webhooks are made with, 32 characters or more, the same in every process of API and worker. Needed with `WEBHOOK_BASE_URL`; development has one."),

    set("EMBED_MODEL", "embedder.model", MODEL, "all-MiniLM-L6-v2",
        "The model, as rows name it."),
    set("EMBED_VERSION", "embedder.version", MODEL, "1",
        "Version of the vectors; change it to embed everything anew."),
    set("EMBED_MODEL_DIR", "embedder.model_dir", BOTH, "/var/lib/app/models",
        "Folder of local models."),
    set("EMBED_THREADS", "embedder.threads", BOTH, "2",
        "Threads of a local model; `0`: one a core."),
    secret("OPENAI_API_KEY", BOTH, "sk-…",
        "Key of an embedding service. Read, but not used yet: this process embeds."),
    set("OPENAI_API_URL", "embedder.openai_url", BOTH, "https://api.openai.com/v1",
        "Address of an embedding service. Not used yet."),

    env("APP_URL", CLIENT, "https://api.example.com",
        "The API that `app upload`, `app jobs` and `app search` talk to. Default: a running `app dev`."),
    secret("APP_TOKEN", CLIENT, "a JWT or an API key",
        "What these commands log in with. Default: the token of a running `app dev`."),
    set("E2E_TIMEOUT", "client.e2e_timeout", CHECK, "60",
        "Seconds that the document of `app check --e2e` may take to be complete, 480 at most; more where a backlog is normal."),
    env("APP_DEV_DIR", &[Dev, Client], "/tmp/app-dev",
        "Data folder of `app dev`. Default: a private one per checkout."),

    env("RENDER_GIT_COMMIT", SERVERS, "3f2a9c1d4e5b6a7980c1d2e3f4a5b6c7d8e9f0a1",
        "The commit that runs. Default: the one that was built."),
    env("RENDER_GIT_BRANCH", SERVERS, "main",
        "The branch that it was deployed from."),
    set("SHUTDOWN_DELAY", "platform.shutdown_delay", BOTH, "30",
        "Seconds that the platform leaves between SIGTERM and SIGKILL; grace periods must be shorter."),
    set("API_INSTANCES", "platform.api_instances", CHECK, "1",
        "Instances of `app api` that may run at once, for the connection budget of `app check`."),
    set("WORKER_INSTANCES", "platform.worker_instances", CHECK, "1",
        "Instances of `app worker` that may run at once, for the same."),
    env("RENDER_EXTERNAL_URL", API, "https://app.onrender.com",
        "Public address of the web service, for `API_PUBLIC_URL`."),
];
