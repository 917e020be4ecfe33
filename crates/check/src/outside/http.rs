//! One HTTP request as a client outside would make it, and what went wrong told apart.

use std::{error::Error, io, time::Duration};

use reqwest::RequestBuilder;

/// For one answer, connecting included, as Render gives a health check.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// More of an answer is not read: it may be any service's.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body, where it is JSON of that shape.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Why there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The name has no address.
    NoAddress,
    /// Nothing listens on that port.
    Refused,
    /// Silence.
    TimedOut,
    /// The certificate, or the lack of one.
    Tls(String),
    /// The connection broke, or what came was no HTTP.
    Broken(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAddress => f.write_str("the name has no address"),
            Self::Refused => f.write_str("nothing listens there (connection refused)"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Tls(why) => write!(f, "TLS failed: {why}"),
            Self::Broken(why) => write!(f, "no HTTP answer: {why}"),
        }
    }
}

/// A client that keeps no connection and follows a few redirects, as a browser would.
pub(super) fn client() -> reqwest::Client {
    builder().build().unwrap_or_default()
}

/// The same for this machine: no proxy lies in between.
pub(super) fn local_client() -> reqwest::Client {
    builder().no_proxy().build().unwrap_or_default()
}

fn builder() -> reqwest::ClientBuilder {
    let agent = concat!("app-check/", env!("CARGO_PKG_VERSION"));
    reqwest::Client::builder()
        .connect_timeout(ANSWER_WITHIN)
        .timeout(ANSWER_WITHIN)
        .pool_max_idle_per_host(0)
        .user_agent(agent)
}

/// Sends a request and reads the answer.
pub(super) async fn send(request: RequestBuilder) -> Result<Answer, Trouble> {
    let mut response = request.send().await.map_err(|error| trouble(&error))?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(|error| trouble(&error))? {
        body.extend_from_slice(&bytes);
        if body.len() >= MAX_BODY_BYTES {
            body.truncate(MAX_BODY_BYTES);
            break;
        }
    }
    Ok(Answer { status, body })
}

fn trouble(error: &reqwest::Error) -> Trouble {
    if error.is_timeout() {
        return Trouble::TimedOut;
    }
    let mut link: Option<&(dyn Error + 'static)> = Some(error);
    let mut last = String::new();
    while let Some(error) = link {
        if let Some(found) = known(error) {
            return found;
        }
        last = error.to_string();
        link = error.source();
    }
    Trouble::Broken(last)
}

fn known(error: &(dyn Error + 'static)) -> Option<Trouble> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(Trouble::Tls(tls.to_string()));
    }
    if let Some(io) = error.downcast_ref::<io::Error>() {
        return match io.kind() {
            io::ErrorKind::ConnectionRefused => Some(Trouble::Refused),
            io::ErrorKind::TimedOut => Some(Trouble::TimedOut),
            // What an io error carries is not its source, and may be another one.
            _ => io.get_ref().and_then(|inner| known(inner)),
        };
    }
    // hyper's resolver has no type of its own to ask for.
    error.to_string().contains("dns error").then_some(Trouble::NoAddress)
}

/// A URL as it may be shown: without user, password, query and fragment.
pub(super) fn shown(url: &url::Url) -> String {
    let path = url.path().trim_end_matches('/');
    format!("{}{path}", url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn ask(url: &str) -> Result<Answer, Trouble> {
        send(local_client().get(url)).await
    }

    #[tokio::test]
    async fn each_trouble_has_its_own_name() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(ask(&format!("http://{free}")).await.unwrap_err(), Trouble::Refused);
        assert_eq!(ask("http://no-such-host.invalid").await.unwrap_err(), Trouble::NoAddress);
        let babbler = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = babbler.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = babbler.accept().await {
                // It is a mail server, whatever it is asked.
                let mut asked = [0; 4096];
                drop(socket.read(&mut asked).await);
                drop(socket.write_all(b"220 mail.example ESMTP\r\n").await);
            }
        });
        assert!(matches!(ask(&format!("http://{at}")).await, Err(Trouble::Broken(_))));
        assert!(matches!(ask(&format!("https://{at}")).await, Err(Trouble::Tls(_))));
    }

    #[test]
    fn a_shown_url_has_no_secrets() {
        let url = url::Url::parse("https://user:pass@api.example/x/?token=1#f").unwrap();
        assert_eq!(shown(&url), "https://api.example/x");
    }
}
