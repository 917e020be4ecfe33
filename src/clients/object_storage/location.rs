//! What a `STORAGE_URL` says.

use std::{fmt, path::PathBuf, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    client::SpawnedReqwestConnector,
};
use url::{Host, Url};

use crate::domain::{Code, Failure};

type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Credentials that AWS's own tools would find in the environment.
const CREDENTIAL_VARIABLES: &[(&str, AmazonS3ConfigKey)] = &[
    ("AWS_ACCESS_KEY_ID", AmazonS3ConfigKey::AccessKeyId),
    ("AWS_SECRET_ACCESS_KEY", AmazonS3ConfigKey::SecretAccessKey),
    ("AWS_SESSION_TOKEN", AmazonS3ConfigKey::Token),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", AmazonS3ConfigKey::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", AmazonS3ConfigKey::ContainerCredentialsRelativeUri),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", AmazonS3ConfigKey::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AmazonS3ConfigKey::ContainerAuthorizationTokenFile),
];
/// One of these has to be there. Without, the library would ask a cloud's metadata address, which on any other machine
/// is a silence of minutes where an operator needs a sentence.
const CREDENTIAL_SOURCES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Without a byte; a whole request may take [`REQUEST_TIMEOUT`].
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
/// The job's own retries come on top, with longer waits.
const MAX_RETRIES: usize = 2;
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) enum Location {
    Folder(PathBuf),
    S3(S3),
}

pub(super) struct S3 {
    bucket: String,
    /// Empty, or ending in `/`.
    pub(super) prefix: String,
    region: String,
    endpoint: Option<Url>,
}

impl Location {
    pub(super) fn parse(text: &str, lookup: Lookup<'_>) -> Result<Self, Failure> {
        let text = text.trim();
        if text.is_empty() {
            return Err(misconfigured("STORAGE_URL is empty; give a folder or s3://bucket/prefix".into()));
        }
        if !text.contains("://") {
            return Ok(Self::Folder(PathBuf::from(text)));
        }
        let url = Url::parse(text).map_err(|error| misconfigured(format!("STORAGE_URL is no URL: {error}")))?;
        match url.scheme() {
            "file" => {
                let folder = url.to_file_path().map_err(|()| {
                    misconfigured("STORAGE_URL must name an absolute folder, as in file:///var/lib/app".into())
                })?;
                Ok(Self::Folder(folder))
            }
            "s3" => S3::parse(&url, lookup).map(Self::S3),
            other => Err(misconfigured(format!("STORAGE_URL begins with {other}://; file:// and s3:// are known"))),
        }
    }
}

impl S3 {
    fn parse(url: &Url, lookup: Lookup<'_>) -> Result<Self, Failure> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(misconfigured(
                "STORAGE_URL holds credentials; put them in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".into(),
            ));
        }
        let bucket = url.host_str().unwrap_or_default().to_owned();
        if bucket.is_empty() {
            return Err(misconfigured("STORAGE_URL names no bucket; give s3://bucket/prefix".into()));
        }
        let (mut region, mut endpoint) = (None, None);
        for (name, value) in url.query_pairs() {
            match &*name {
                "region" => region = Some(value.into_owned()),
                "endpoint" => endpoint = Some(value.into_owned()),
                other => {
                    let message =
                        format!("STORAGE_URL has an unknown parameter `{other}`; region and endpoint are known");
                    return Err(misconfigured(message));
                }
            }
        }
        let first = |names: &[&str]| names.iter().find_map(|name| lookup(name)).filter(|value| !value.is_empty());
        let endpoint = endpoint.or_else(|| first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]));
        let endpoint = endpoint.map(|text| parse_endpoint(&text)).transpose()?;
        let region = match region.or_else(|| first(&["AWS_REGION", "AWS_DEFAULT_REGION"])) {
            Some(region) => region,
            // Services other than AWS mostly take any region, and this one is the custom.
            None if endpoint.is_some() => "us-east-1".to_owned(),
            None => return Err(misconfigured("the bucket's region is missing; add ?region=… to STORAGE_URL".into())),
        };
        let prefix = url.path().trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        object_store::path::Path::parse(&prefix)
            .map_err(|_text| misconfigured("the prefix in STORAGE_URL is no usable path".into()))?;
        Ok(Self { bucket, prefix, region, endpoint })
    }

    pub(super) fn connect(&self, lookup: Lookup<'_>) -> Result<AmazonS3, Failure> {
        if !CREDENTIAL_SOURCES.iter().any(|name| lookup(name).is_some_and(|value| !value.is_empty())) {
            return Err(misconfigured(
                "STORAGE_URL names a bucket, but AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are missing".into(),
            ));
        }
        let plain_http = self.endpoint.as_ref().is_some_and(|url| url.scheme() == "http");
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(&self.region)
            .with_virtual_hosted_style_request(false)
            .with_retry(retry())
            .with_client_options(client_options().with_allow_http(plain_http));
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
        }
        for (name, key) in CREDENTIAL_VARIABLES {
            if let Some(value) = lookup(name).filter(|value| !value.is_empty()) {
                builder = builder.with_config(*key, value);
            }
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            builder = builder.with_http_connector(SpawnedReqwestConnector::new(runtime));
        }
        builder.build().map_err(|error| misconfigured(format!("the S3 settings do not fit together: {error}")))
    }
}

impl fmt::Display for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{} in {}", self.bucket, self.prefix, self.region)?;
        match self.endpoint.as_ref().and_then(Url::host_str) {
            Some(host) => write!(f, " at {host}"),
            None => Ok(()),
        }
    }
}

fn parse_endpoint(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).map_err(|error| misconfigured(format!("the S3 endpoint is no URL: {error}")))?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        _ => Err(misconfigured(
            "the S3 endpoint must be https://…; plain http would show every document to the network".into(),
        )),
    }
}

fn client_options() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(READ_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
}

fn retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: MAX_RETRIES, retry_timeout: RETRY_TIMEOUT }
}

pub(super) fn misconfigured(message: String) -> Failure {
    Failure::new(Code::StorageMisconfigured, message)
}
