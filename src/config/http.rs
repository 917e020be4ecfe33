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
            cors_origins: r.required("CORS_ORIGINS", values::origins),
        }
    }
}
