//! Parses the text of a URL by libpq's rules, with errors that say what is wrong.

use std::{borrow::Cow, net::IpAddr, path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use tokio_postgres::config::{ChannelBinding, Host, LoadBalanceHosts, TargetSessionAttrs};

use super::{DatabaseUrl, StatedMode, UrlError};

const DEFAULT_PORT: u16 = 5432;

/// `no-verify` is node-postgres's value for TLS without checks.
const SSL_MODES: &[(&str, StatedMode)] = &[
    ("disable", StatedMode::Disable),
    ("allow", StatedMode::Prefer),
    ("prefer", StatedMode::Prefer),
    ("require", StatedMode::Require),
    ("no-verify", StatedMode::Require),
    ("verify-ca", StatedMode::VerifyCa),
    ("verify-full", StatedMode::VerifyFull),
];
const SESSION_ATTRS: &[(&str, TargetSessionAttrs)] = &[
    ("any", TargetSessionAttrs::Any),
    ("read-write", TargetSessionAttrs::ReadWrite),
    ("primary", TargetSessionAttrs::ReadWrite),
    ("read-only", TargetSessionAttrs::ReadOnly),
    ("standby", TargetSessionAttrs::ReadOnly),
];
const BINDING: &[(&str, ChannelBinding)] =
    &[("disable", ChannelBinding::Disable), ("prefer", ChannelBinding::Prefer), ("require", ChannelBinding::Require)];
const BALANCE: &[(&str, LoadBalanceHosts)] =
    &[("disable", LoadBalanceHosts::Disable), ("random", LoadBalanceHosts::Random)];

pub(super) fn parse(text: &str) -> Result<DatabaseUrl, UrlError> {
    let rest = without_scheme(text.trim())?;
    let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = before_query.split_once('/').unwrap_or((before_query, ""));
    let (credentials, hosts) = match authority.split_once('@') {
        Some((_, hosts)) if hosts.contains('@') => return Err(UrlError::Unencoded),
        Some(split) => split,
        // The `@` comes after a `/` or a `?` of the password.
        None if rest.contains('@') => return Err(UrlError::Unencoded),
        None => ("", authority),
    };

    let mut parser = Parser::default();
    parser.credentials(credentials)?;
    if !database.is_empty() {
        parser.config.dbname(decode(database)?);
    }
    parser.hosts(hosts)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(UrlError::Parameter)?;
        parser.parameter(&decode(name)?, decode(value)?)?;
    }
    parser.finish()
}

fn without_scheme(text: &str) -> Result<&str, UrlError> {
    let lower = text.to_ascii_lowercase();
    if text.starts_with(['"', '\'']) {
        return Err(UrlError::Quoted);
    }
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Err(UrlError::WebAddress);
    }
    ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme)).ok_or(UrlError::Scheme)
}

/// What has been parsed so far.
#[derive(Default)]
struct Parser {
    config: tokio_postgres::Config,
    /// Hosts and ports as written; parameters may replace both.
    hosts: Vec<(String, Option<u16>)>,
    port: Option<u16>,
    address: Option<IpAddr>,
    stated: Option<StatedMode>,
    ca_file: Option<PathBuf>,
    ignored: Vec<String>,
}

impl Parser {
    fn credentials(&mut self, text: &str) -> Result<(), UrlError> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        if !user.is_empty() {
            self.config.user(decode(user)?);
        }
        if !password.is_empty() {
            self.password(decode(password)?)?;
        }
        Ok(())
    }

    fn password(&mut self, password: String) -> Result<(), UrlError> {
        let bracketed = |open, close| password.starts_with(open) && password.ends_with(close);
        if bracketed('[', ']') || bracketed('<', '>') {
            return Err(UrlError::Placeholder);
        }
        self.config.password(password);
        Ok(())
    }

    fn hosts(&mut self, text: &str) -> Result<(), UrlError> {
        for host in text.split(',').filter(|host| !host.is_empty()) {
            let (host, port) = match host.strip_prefix('[') {
                Some(v6) => {
                    let (v6, port) = v6.split_once(']').ok_or(UrlError::Host)?;
                    v6.parse::<std::net::Ipv6Addr>().map_err(|_parse| UrlError::Host)?;
                    (v6, port.strip_prefix(':').or_else(|| (!port.is_empty()).then_some(port)))
                }
                None => match host.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (host, None),
                },
            };
            self.hosts.push((decode(host)?, port.map(parse_port).transpose()?));
        }
        Ok(())
    }

    fn parameter(&mut self, name: &str, value: String) -> Result<(), UrlError> {
        let config = &mut self.config;
        match name {
            "host" => {
                let ports: Vec<_> = self.hosts.drain(..).map(|(_, port)| port).collect();
                self.hosts = value
                    .split(',')
                    .enumerate()
                    .map(|(n, host)| (host.to_owned(), ports.get(n).copied().flatten()))
                    .collect();
            }
            "hostaddr" => {
                self.address = Some(value.parse().map_err(|_parse| UrlError::ParameterValue("hostaddr"))?);
            }
            "port" => self.port = Some(parse_port(&value)?),
            "user" => _ = config.user(value),
            "password" => self.password(value)?,
            "dbname" => _ = config.dbname(value),
            "options" => _ = config.options(value),
            "application_name" => _ = config.application_name(value),
            "connect_timeout" => _ = config.connect_timeout(seconds(&value, "connect_timeout")?),
            "keepalives" => _ = config.keepalives(value != "0"),
            "keepalives_idle" => _ = config.keepalives_idle(seconds(&value, "keepalives_idle")?),
            "keepalives_interval" => _ = config.keepalives_interval(seconds(&value, "keepalives_interval")?),
            "target_session_attrs" => {
                _ = config.target_session_attrs(choice(
                    &value,
                    SESSION_ATTRS,
                    UrlError::ParameterValue("target_session_attrs"),
                )?)
            }
            "channel_binding" => {
                _ = config.channel_binding(choice(&value, BINDING, UrlError::ParameterValue("channel_binding"))?)
            }
            "load_balance_hosts" => {
                _ = config.load_balance_hosts(choice(&value, BALANCE, UrlError::ParameterValue("load_balance_hosts"))?)
            }
            "sslmode" | "ssl_mode" => {
                self.stated = Some(choice(&value.to_ascii_lowercase(), SSL_MODES, UrlError::SslMode)?);
            }
            // libpq's value for the operating system's authorities, which are the default here.
            "sslrootcert" if value == "system" => {}
            "sslrootcert" => self.ca_file = Some(value.into()),
            "sslcert" => return Err(UrlError::Unsupported("a client certificate (sslcert)")),
            "sslkey" => return Err(UrlError::Unsupported("a client certificate (sslkey)")),
            "sslcrl" | "sslcrldir" => return Err(UrlError::Unsupported("a certificate revocation list (sslcrl)")),
            other => self.ignored.push(printable(other)),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<DatabaseUrl, UrlError> {
        for (host, port) in &self.hosts {
            self.config.port(port.or(self.port).unwrap_or(DEFAULT_PORT));
            if !host.starts_with('/') {
                check_host(host)?;
            }
            // tokio-postgres takes a host that begins with `/` for a socket's folder.
            self.config.host(host);
        }
        match (self.config.get_hosts(), self.address) {
            ([], _) => return Err(UrlError::HostMissing),
            ([Host::Tcp(_)], Some(address)) => _ = self.config.hostaddr(address),
            (_, Some(_)) => return Err(UrlError::ParameterValue("hostaddr")),
            (_, None) => {}
        }
        if self.config.get_user().is_none() && self.config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_))) {
            return Err(UrlError::UserMissing);
        }
        let Self { config, stated, ca_file, ignored, .. } = self;
        Ok(DatabaseUrl { config, stated, ca_file, ignored })
    }
}

fn check_host(host: &str) -> Result<(), UrlError> {
    let name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() {
        return Err(UrlError::HostMissing);
    }
    if host.chars().all(name) || host.parse::<IpAddr>().is_ok() { Ok(()) } else { Err(UrlError::Host) }
}

fn parse_port(text: &str) -> Result<u16, UrlError> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(UrlError::Port),
    }
}

fn seconds(text: &str, name: &'static str) -> Result<Duration, UrlError> {
    text.parse().map(Duration::from_secs).map_err(|_parse| UrlError::ParameterValue(name))
}

/// The value that `text` names, else the error `refused`.
fn choice<T: Copy>(text: &str, values: &[(&str, T)], refused: UrlError) -> Result<T, UrlError> {
    values.iter().find(|(value, _)| *value == text).map(|(_, meaning)| *meaning).ok_or(refused)
}

/// A parameter's name that is safe to show. Text that does not look like a name may be part of a password.
fn printable(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.len() <= 40 && name.chars().all(plain) { name.to_owned() } else { "(unreadable)".to_owned() }
}

/// Decodes `%XX`. Everything else stands for itself, including `+`.
fn decode(text: &str) -> Result<String, UrlError> {
    let is_code = |rest: &str| rest.as_bytes().get(..2).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(is_code) {
        return Err(UrlError::Percent);
    }
    percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(|_utf8| UrlError::Percent)
}
