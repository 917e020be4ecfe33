//! How the API listens and what it bounds.

use std::time::Duration;

use url::Url;

use super::{reader::Reader, values};

/// How the API listens and what it bounds.
#[derive(Debug, Clone)]
pub struct Http {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on; `0`: any that is free.
    pub port: u16,
    /// An `API_PORT` of the environment that `PORT` overrules, where they differ.
    pub overruled_port: Option<u16>,
    /// Where clients reach the API; `None`: by the request's own host.
    pub public_url: Option<Url>,
    /// Threads that serve requests; `0`: one a core.
    pub threads: usize,
    /// Time that running requests get at shutdown.
    pub grace: Duration,
    /// Largest JSON body in bytes; `0`: no limit.
    pub body_limit_bytes: u64,
    /// Live timelines at a time; `0`: no limit.
    pub event_streams: usize,
    /// Live timelines of one user at a time; `0`: no limit.
    pub event_streams_per_user: usize,
    /// How long a live timeline lasts; zero: to the job's end.
    pub event_stream_lifetime: Duration,
    /// Requests a minute that one user may make of this instance; `0`: no limit.
    pub rate_per_minute: u32,
    /// Failed log-ins a minute from one address; `0`: no limit.
    pub login_failures_per_minute: u32,
    /// Proxies before us that append to `X-Forwarded-For`; `0`: the header is not believed.
    pub trusted_proxies: usize,
    /// Connections held at once; `0`: no limit.
    pub max_connections: usize,
    /// Time that a request's head may take.
    pub head_timeout: Duration,
    /// Time that a body may keep us waiting beyond its minimum rate.
    pub body_grace: Duration,
    /// Slowest rate of a body in bytes a second; `0`: no limit.
    pub body_min_rate: u64,
    /// Origins whose pages may call, as browsers write them; `*`: all.
    pub cors_origins: Vec<String>,
}

impl Http {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let own_port = r.whole("API_PORT", 0..=u16::MAX);
        let own_is_stated = r.layers.values.get("API_PORT").is_some_and(|raw| raw.place == "environment");
        let platform_port = r.optional("PORT", |text| values::whole(text, &(1..=u16::MAX)));
        let platform_url = r.url("RENDER_EXTERNAL_URL");
        Self {
            host: r.name("API_HOST"),
            port: platform_port.unwrap_or(own_port),
            overruled_port: platform_port.filter(|port| own_is_stated && *port != own_port).map(|_port| own_port),
            public_url: r.url("API_PUBLIC_URL").or(platform_url),
            threads: r.whole("API_THREADS", 0..=1024),
            grace: r.seconds("API_GRACE", 0.0..=3600.0),
            body_limit_bytes: r.bytes("API_BODY_LIMIT"),
            event_streams: r.whole("API_EVENT_STREAMS", 0..=100_000),
            event_streams_per_user: r.whole("API_EVENT_STREAMS_PER_USER", 0..=100_000),
            event_stream_lifetime: r.seconds("API_EVENT_STREAM_LIFETIME", 0.0..=86_400.0),
            rate_per_minute: r.whole("API_RATE_PER_MINUTE", 0..=1_000_000),
            login_failures_per_minute: r.whole("API_LOGIN_FAILURES_PER_MINUTE", 0..=1_000_000),
            trusted_proxies: r.whole("API_TRUSTED_PROXIES", 0..=10),
            max_connections: r.whole("API_MAX_CONNECTIONS", 0..=1_000_000),
            head_timeout: r.seconds("API_HEAD_TIMEOUT", 0.1..=600.0),
            body_grace: r.seconds("API_BODY_GRACE", 0.1..=3600.0),
            body_min_rate: r.bytes("API_BODY_MIN_RATE"),
            cors_origins: r.required("CORS_ORIGINS", values::origins),
        }
    }
}
