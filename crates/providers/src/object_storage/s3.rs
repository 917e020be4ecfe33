//! The client of an S3-compatible service.

use std::time::Duration;

use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    client::SpawnedReqwestConnector,
};

use super::{Credentials, misconfigured};
use config::S3Location;
use domain::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Without a byte; a whole request may take [`REQUEST_TIMEOUT`].
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
/// The job's own retries come on top, with longer waits.
const MAX_RETRIES: usize = 2;
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

/// Without credentials this fails: the library would ask a cloud's metadata address for some, which on any other
/// machine is a silence of minutes.
pub(super) fn connect(location: &S3Location, credentials: Option<Credentials<'_>>) -> Result<AmazonS3, Failure> {
    let credentials = credentials.ok_or_else(|| {
        misconfigured("STORAGE_URL names a bucket, but AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are missing".into())
    })?;
    let plain_http = location.endpoint.as_ref().is_some_and(|url| url.scheme() == "http");
    let client_options = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(READ_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
        .with_allow_http(plain_http);
    let retry =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: MAX_RETRIES, retry_timeout: RETRY_TIMEOUT };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&location.bucket)
        .with_region(&location.region)
        .with_access_key_id(credentials.access_key_id)
        .with_secret_access_key(credentials.secret_access_key)
        .with_virtual_hosted_style_request(false)
        .with_retry(retry)
        .with_client_options(client_options);
    if let Some(endpoint) = &location.endpoint {
        builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
    }
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        builder = builder.with_http_connector(SpawnedReqwestConnector::new(runtime));
    }
    builder.build().map_err(|error| misconfigured(format!("the S3 settings do not fit together: {error}")))
}
