//! Parses the text of a URL by libpq's rules, with errors that say what is wrong.

use std::{borrow::Cow, net::IpAddr, path::PathBuf};

use percent_encoding::percent_decode_str;
use tokio_postgres::{Config, config::Host};

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
/// Parameters whose values tokio-postgres checks and takes.
const PASSED_ON: [&str; 9] = [
    "options",
    "application_name",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

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

    let split = |pair: &str| {
        let (name, value) = pair.split_once('=').ok_or(UrlError::Parameter)?;
        Ok((decode(name)?, decode(value)?))
    };
    let parameters = query.split('&').filter(|pair| !pair.is_empty()).map(split).collect::<Result<Vec<_>, _>>()?;
    let mut parser = Parser { config: passed_on(&parameters)?, ..Parser::default() };
    parser.credentials(credentials)?;
    if !database.is_empty() {
        parser.config.dbname(decode(database)?);
    }
    parser.hosts(hosts)?;
    for (name, value) in parameters {
        parser.parameter(&name, value)?;
    }
    parser.finish()
}

/// A configuration with the parameters that tokio-postgres takes.
fn passed_on(parameters: &[(String, String)]) -> Result<Config, UrlError> {
    let mut all = String::new();
    for (name, value) in parameters {
        let Some(known) = PASSED_ON.iter().find(|known| *known == name) else { continue };
        let value = match (*known, value.as_str()) {
            ("target_session_attrs", "primary") => "read-write",
            ("target_session_attrs", "standby") => "read-only",
            ("keepalives", value) if value != "0" => "1",
            (_, value) => value,
        };
        let one = format!("{known}='{}' ", value.replace('\\', r"\\").replace('\'', r"\'"));
        one.parse::<Config>().map_err(|_parse| UrlError::ParameterValue(known))?;
        all.push_str(&one);
    }
    all.parse().map_err(|_parse| UrlError::Parameter)
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
    config: Config,
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
            "user" => _ = self.config.user(value),
            "password" => self.password(value)?,
            "dbname" => _ = self.config.dbname(value),
            "sslmode" | "ssl_mode" => {
                let value = value.to_ascii_lowercase();
                let known = SSL_MODES.iter().find(|(mode, _)| *mode == value);
                self.stated = Some(known.ok_or(UrlError::SslMode)?.1);
            }
            // libpq's value for the operating system's authorities, which are the default here.
            "sslrootcert" if value == "system" => {}
            "sslrootcert" => self.ca_file = Some(value.into()),
            "sslcert" => return Err(UrlError::Unsupported("a client certificate (sslcert)")),
            "sslkey" => return Err(UrlError::Unsupported("a client certificate (sslkey)")),
            "sslcrl" | "sslcrldir" => return Err(UrlError::Unsupported("a certificate revocation list (sslcrl)")),
            other if PASSED_ON.contains(&other) => {}
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
