//! HTTP requests as an outside client makes them, and the causes of a failed one.

use std::{borrow::Cow, error::Error, io, time::Duration};

use pg::tls::certificate_ends_at;
use reqwest::{IntoUrl, RequestBuilder, header::HeaderMap, tls::TlsInfo};
use time::OffsetDateTime;

/// For connecting and the whole answer, as for Render's health checks.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The rest of a longer answer is not read, since the answering service is unknown.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// An HTTP answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// When the server's certificate ends; `None` without TLS.
    pub(super) certificate_ends_at: Option<OffsetDateTime>,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body, if it is JSON of type `T`.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether the list in this header has `value`, or admits all.
    pub(super) fn admits(&self, header: &str, value: &str) -> bool {
        let lists = self.headers.get_all(header).iter().filter_map(|list| list.to_str().ok());
        lists
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .any(|item| item == "*" || item.eq_ignore_ascii_case(value))
    }

    pub(super) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// Why there was no answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HttpError {
    #[error("the name has no address")]
    NoAddress,
    #[error("nothing listens there (connection refused)")]
    Refused,
    #[error("no answer in time")]
    TimedOut,
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The connection broke, or the answer is not HTTP.
    #[error("no HTTP answer: {0}")]
    Broken(String),
}

/// A client that keeps no connection and follows a few redirects, as a browser does.
pub(super) fn client() -> reqwest::Client {
    builder().build().unwrap_or_default()
}

/// The same without a proxy, for this machine's own addresses.
pub(super) fn local_client() -> reqwest::Client {
    builder().no_proxy().build().unwrap_or_default()
}

fn builder() -> reqwest::ClientBuilder {
    let agent = concat!("app-check/", env!("CARGO_PKG_VERSION"));
    reqwest::Client::builder().tls_info(true).timeout(ANSWER_TIMEOUT).pool_max_idle_per_host(0).user_agent(agent)
}

/// Gets `url` with a new [`client`].
pub(super) async fn get(url: impl IntoUrl) -> Result<Answer, HttpError> {
    send(client().get(url)).await
}

/// Sends a request and reads the answer.
pub(super) async fn send(request: RequestBuilder) -> Result<Answer, HttpError> {
    let mut response = request.send().await.map_err(|error| explain(&error))?;
    let status = response.status().as_u16();
    let certificate = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    let certificate_ends_at = certificate.and_then(certificate_ends_at);
    let headers = response.headers().clone();
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(|error| explain(&error))? {
        body.extend_from_slice(&bytes);
        if body.len() >= MAX_BODY_BYTES {
            body.truncate(MAX_BODY_BYTES);
            break;
        }
    }
    Ok(Answer { status, headers, body, certificate_ends_at })
}

fn explain(error: &reqwest::Error) -> HttpError {
    if error.is_timeout() {
        return HttpError::TimedOut;
    }
    let mut link: Option<&(dyn Error + 'static)> = Some(error);
    let mut last = String::new();
    while let Some(error) = link {
        if let Some(found) = cause_of(error) {
            return found;
        }
        last = error.to_string();
        link = error.source();
    }
    HttpError::Broken(last)
}

fn cause_of(error: &(dyn Error + 'static)) -> Option<HttpError> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(HttpError::Tls(tls.to_string()));
    }
    if let Some(io) = error.downcast_ref::<io::Error>() {
        return match io.kind() {
            io::ErrorKind::ConnectionRefused => Some(HttpError::Refused),
            io::ErrorKind::TimedOut => Some(HttpError::TimedOut),
            // `source` skips the error inside an io error.
            _ => io.get_ref().and_then(|inner| cause_of(inner)),
        };
    }
    // hyper has no public type for this error.
    error.to_string().contains("dns error").then_some(HttpError::NoAddress)
}

/// `url` without user, password, query and fragment, fit to be printed.
pub(super) fn without_secrets(url: &url::Url) -> String {
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

    async fn ask(url: &str) -> Result<Answer, HttpError> {
        send(local_client().get(url)).await
    }

    #[tokio::test]
    async fn each_cause_is_told_apart() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(ask(&format!("http://{free}")).await.unwrap_err(), HttpError::Refused);
        assert_eq!(ask("http://no-such-host.invalid").await.unwrap_err(), HttpError::NoAddress);
        let mail_server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = mail_server.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = mail_server.accept().await {
                let mut asked = [0; 4096];
                drop(socket.read(&mut asked).await);
                drop(socket.write_all(b"220 mail.example ESMTP\r\n").await);
            }
        });
        assert!(matches!(ask(&format!("http://{at}")).await, Err(HttpError::Broken(_))));
        assert!(matches!(ask(&format!("https://{at}")).await, Err(HttpError::Tls(_))));
    }

    #[test]
    fn a_printed_url_has_no_secrets() {
        let url = url::Url::parse("https://user:pass@api.example/x/?token=1#f").unwrap();
        assert_eq!(without_secrets(&url), "https://api.example/x");
    }
}
