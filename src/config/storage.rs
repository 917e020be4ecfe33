//! Where documents are kept.

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use url::Url;

use super::{
    environment::Environment,
    fault::ConfigError,
    reader::{Reader, missing},
    secret::Secret,
    values,
};

/// Where documents are kept.
#[derive(Debug, Clone)]
pub struct Storage {
    /// See [`location`](Self::location).
    pub location: Option<StorageLocation>,
    /// Whether a folder is right outside development too.
    pub allow_local: bool,
    /// See [`signing_secret`](Self::signing_secret).
    pub signing_secret: Option<Secret<String>>,
    /// Key of an S3 store.
    pub access_key_id: Option<Secret<String>>,
    /// Secret of that key.
    pub secret_access_key: Option<Secret<String>>,
}

/// A place for documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageLocation {
    /// A folder on this machine; a relative path counts from the working folder.
    Folder(PathBuf),
    /// A bucket.
    S3(S3Location),
}

/// A place in an S3-compatible store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// What every key begins with, without a slash at either end; may be empty.
    pub prefix: String,
    /// Address of the service; `None`: AWS's own in the region.
    pub endpoint: Option<Url>,
    /// The region that requests are signed for.
    pub region: String,
}

impl Storage {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let region = r.name("AWS_REGION");
        let endpoint = r.url("AWS_ENDPOINT_URL");
        let location = r.optional("STORAGE_URL", |text| parse_location(text, endpoint.as_ref(), &region));
        let derived = match r.layers.environment {
            Environment::Development => Some(derived_secret(location.as_ref())),
            Environment::Staging | Environment::Production => None,
        };
        Self {
            location,
            allow_local: r.required("STORAGE_ALLOW_LOCAL", values::flag),
            signing_secret: r.optional("STORAGE_SIGNING_SECRET", signing_secret).or(derived),
            access_key_id: r.secret("AWS_ACCESS_KEY_ID"),
            secret_access_key: r.secret("AWS_SECRET_ACCESS_KEY"),
        }
    }

    /// Where documents are kept.
    ///
    /// # Errors
    ///
    /// Without `STORAGE_URL`; [`Config::load`](super::Config::load) sees to it for the roles that need it.
    pub fn location(&self) -> Result<&StorageLocation, ConfigError> {
        self.location.as_ref().ok_or_else(|| ConfigError(vec![missing("STORAGE_URL")]))
    }

    /// Signs our own upload URLs.
    ///
    /// # Errors
    ///
    /// Without `STORAGE_SIGNING_SECRET`, as for [`location`](Self::location). Development always has one.
    pub fn signing_secret(&self) -> Result<&Secret<String>, ConfigError> {
        self.signing_secret.as_ref().ok_or_else(|| ConfigError(vec![missing("STORAGE_SIGNING_SECRET")]))
    }
}

fn signing_secret(text: &str) -> Result<Secret<String>, String> {
    const MIN_CHARS: usize = 32;
    if text.chars().count() < MIN_CHARS {
        return Err(format!("is shorter than {MIN_CHARS} characters"));
    }
    Ok(Secret::new(text.to_owned()))
}

/// The same in every process of a laptop that shares a store, and no secret to anyone who reads this.
fn derived_secret(location: Option<&StorageLocation>) -> Secret<String> {
    let digest = Sha256::digest(format!("app development upload URLs: {location:?}"));
    Secret::new(crate::domain::hex(digest))
}

fn parse_location(text: &str, endpoint: Option<&Url>, region: &str) -> Result<StorageLocation, String> {
    match text.split_once("://").map(|(scheme, _)| scheme) {
        None => Ok(StorageLocation::Folder(text.into())),
        Some("file") => {
            let path = Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
            let path = path.ok_or("is no folder: write file:///absolute/path, or a relative path without file://")?;
            Ok(StorageLocation::Folder(path))
        }
        Some("s3") => parse_s3(text, endpoint, region).map(StorageLocation::S3),
        Some(_) => Err("begins with neither s3:// nor file://".to_owned()),
    }
}

fn parse_s3(text: &str, endpoint: Option<&Url>, region: &str) -> Result<S3Location, String> {
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    let bucket = url.host_str().filter(|bucket| !bucket.is_empty()).ok_or("names no bucket after s3://")?.to_owned();
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has keys in it; they belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned());
    }
    let prefix = url.path().trim_matches('/').to_owned();
    let mut location = S3Location { bucket, prefix, endpoint: endpoint.cloned(), region: region.to_owned() };
    for (parameter, value) in url.query_pairs() {
        match parameter.as_ref() {
            "endpoint" => {
                let endpoint =
                    values::service_url(&value).map_err(|problem| format!("has an endpoint that {problem}"))?;
                location.endpoint = Some(endpoint);
            }
            "region" => location.region = values::name(&value)?,
            _ => return Err("has a parameter other than endpoint and region".to_owned()),
        }
    }
    Ok(location)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> Result<StorageLocation, String> {
        parse_location(text, None, "us-east-1")
    }

    #[test]
    fn folders_are_absolute_urls_or_plain_paths() {
        for (text, path) in
            [("file:///var/lib/app", "/var/lib/app"), (".cache/storage", ".cache/storage"), ("/srv", "/srv")]
        {
            assert_eq!(location(text), Ok(StorageLocation::Folder(path.into())));
        }
        for text in ["file://relative/path", "gs://bucket"] {
            assert!(location(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn a_bucket_has_prefix_endpoint_and_region() {
        let text = "s3://docs/a/b/?endpoint=https://x.storage.supabase.co/storage/v1/s3&region=eu-west-2";
        let Ok(StorageLocation::S3(s3)) = location(text) else { panic!("it was refused") };
        assert_eq!((s3.bucket.as_str(), s3.prefix.as_str(), s3.region.as_str()), ("docs", "a/b", "eu-west-2"));
        assert_eq!(s3.endpoint.unwrap().as_str(), "https://x.storage.supabase.co/storage/v1/s3");
        let Ok(StorageLocation::S3(s3)) = location("s3://docs") else { panic!("it was refused") };
        assert_eq!((s3.prefix.as_str(), s3.endpoint, s3.region.as_str()), ("", None, "us-east-1"));
        for text in ["s3://", "s3://key:secret@docs", "s3://docs?acl=public", "s3://docs?endpoint=nowhere"] {
            assert!(location(text).is_err(), "{text} was taken");
        }
    }
}
