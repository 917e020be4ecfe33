use super::*;

settings! {
    /// The API's listener and limits.
    Http in "http", titled "HTTP";

    /// Port to listen on, set by the platform; wins over `API_PORT`.
    PORT[API] platform_port: u16 = whole(1..=u16::MAX), variable "10000";
    /// Port to listen on where the platform sets no `PORT`.
    API_PORT[API] port: u16 = whole(0..=u16::MAX), default "8000";
    /// Address to listen on.
    API_HOST[API] host: String = name, default "0.0.0.0";
    /// Address at which clients reach the API, for upload URLs. Default: `RENDER_EXTERNAL_URL`, else the request's own
    /// host.
    API_PUBLIC_URL[API] public_url: Url = service_url, optional "https://api.example.com";
    /// Threads that serve requests; `0`: one a core.
    API_THREADS[API] threads: usize = whole(0..=1024), default "0", example "2";
    /// Seconds that running requests get at shutdown.
    API_GRACE[API] grace: Duration = seconds(0.0..=3600.0), default "25";
    /// Largest JSON body but for text documents, in bytes or with a unit; `0`: no limit.
    API_BODY_LIMIT[API] body_limit_bytes: u64 = bytes, default "64 KiB", key "body_limit";
    /// Memory that the bodies in hand may take in one process, in bytes or with a unit: a JSON body its length, a streamed
    /// one 512 KiB; `0`: no limit.
    API_BODY_BUDGET[API] body_budget: u64 = budget, default "64 MiB";
    /// The share of one user in `API_BODY_BUDGET`; `0`: no limit.
    API_BODY_BUDGET_PER_USER[API] body_budget_per_user: u64 = budget, default "32 MiB";
    /// Live timelines (`text/event-stream`) that one process serves at a time; `0`: no limit.
    API_EVENT_STREAMS[API] event_streams: usize = whole(0..=100_000), default "200";
    /// Live timelines of one user at a time in one process; `0`: no limit.
    API_EVENT_STREAMS_PER_USER[API] event_streams_per_user: usize = whole(0..=100_000), default "20";
    /// Seconds after which a live timeline ends, so that its reader connects again; `0`: it lasts to the job's end.
    API_EVENT_STREAM_LIFETIME[API] event_stream_lifetime: Duration = seconds(0.0..=86_400.0), default "900";
    /// Requests a minute that one user may make of one instance, a sixth of them at once; `0`: no limit.
    API_RATE_PER_MINUTE[API] rate_per_minute: u32 = whole(0..=1_000_000), default "600";
    /// Retries and cancellations a minute that one user may ask of one instance; `0`: no limit.
    API_RETRIES_PER_MINUTE[API] retries_per_minute: u32 = whole(0..=1_000_000), default "30";
    /// Refused tokens and keys a minute from one address; beyond, no API key from there is looked up until it has
    /// waited; `0`: no limit.
    API_LOGIN_FAILURES_PER_MINUTE[API] login_failures_per_minute: u32 = whole(0..=1_000_000), default "60";
    /// Proxies before the API that append to `X-Forwarded-For`, from whose entries the client's address is taken
    /// (Render: 2); `0`: the header is not believed.
    API_TRUSTED_PROXIES[API] trusted_proxies: usize = whole(0..=10), default "1", example "2";
    /// Connections that one instance holds at a time, each with up to 128 KiB that were read ahead; more wait to be
    /// accepted; `0`: no limit.
    API_MAX_CONNECTIONS[API] max_connections: usize = whole(0..=1_000_000), default "1000";
    /// Seconds that a request's line and headers may take to arrive.
    API_HEAD_TIMEOUT[API] head_timeout: Duration = seconds(0.1..=600.0), default "10";
    /// Seconds that a body may keep the API waiting, beyond those that `API_BODY_MIN_RATE` grants for what has come.
    API_BODY_GRACE[API] body_grace: Duration = seconds(0.1..=3600.0), default "30";
    /// Slowest rate of a body in the long run, in bytes a second or with a unit; `0`: no limit, and then
    /// `API_BODY_GRACE` bounds each pause.
    API_BODY_MIN_RATE[API] body_min_rate: u64 = bytes, default "8 KiB";
    /// Memory in which one process keeps packed vectors between searches, in bytes or with a unit: about 100 bytes a passage
    /// with a model of 384 components; `0`: each search of a user with more than 2,000 passages reads them again.
    SEARCH_CACHE[API] search_cache: u64 = bytes, default "64 MiB";
    /// Origins whose pages may call the API, separated by commas; `*`: all; empty: none.
    CORS_ORIGINS[API] cors_origins: Vec<String> = origins, default "",
        example "https://app.example.com,https://admin.example.com";
    also
    /// The `API_PORT` of the environment if `PORT` overrules it with another value.
    overruled_port: Option<u16>;
}

fn budget(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        1..1_048_576 => Err("is less than 1 MiB, and then no file could be uploaded".to_owned()),
        budget => Ok(budget),
    }
}

impl Http {
    /// Applies the port and the address that the platform sets.
    pub(crate) fn complete(mut self, reader: &Reader<'_>, platform_url: Option<Url>) -> Self {
        if let Some(port) = self.platform_port {
            let differs = port != self.port && reader.is_from_environment(&Self::API_PORT);
            self.overruled_port = differs.then_some(self.port);
            self.port = port;
        }
        self.public_url = self.public_url.or(platform_url);
        self
    }
}
