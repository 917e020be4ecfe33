//! The value of `STORAGE_URL`.

use std::{fmt, path::PathBuf};

use url::Url;

use super::values::{name, service_url};

/// A place for documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageLocation {
    /// A folder on this machine; a relative path starts at the working folder.
    Folder(PathBuf),
    /// A bucket.
    S3(S3Location),
}

/// A place in an S3-compatible store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// The prefix of every key, without a slash at either end; may be empty.
    pub prefix: String,
    /// Address of the service; `None` for AWS in the region.
    pub endpoint: Option<Url>,
    /// The region for which requests are signed.
    pub region: String,
}

impl StorageLocation {
    /// Parses a folder (`file:///var/lib/app`, or a path) or `s3://bucket/prefix?endpoint=…&region=…`; `endpoint` and
    /// `region` are the defaults of these parameters.
    ///
    /// # Errors
    ///
    /// What is wrong, as the rest of a sentence that begins with the variable's name.
    pub fn parse(text: &str, endpoint: Option<&Url>, region: &str) -> Result<Self, String> {
        match text.split_once("://").map(|(scheme, _)| scheme) {
            None => Ok(Self::Folder(text.into())),
            Some("file") => {
                let path = Url::parse(text).ok().and_then(|url| url.to_file_path().ok());
                let path =
                    path.ok_or("is not a folder: write file:///absolute/path, or a relative path without file://")?;
                Ok(Self::Folder(path))
            }
            Some("s3") => S3Location::parse(text, endpoint, region).map(Self::S3),
            Some(_) => Err("begins with neither s3:// nor file://".to_owned()),
        }
    }
}

impl S3Location {
    fn parse(text: &str, endpoint: Option<&Url>, region: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        let bucket =
            url.host_str().filter(|bucket| !bucket.is_empty()).ok_or("names no bucket after s3://")?.to_owned();
        if !url.username().is_empty() || url.password().is_some() {
            return Err("contains keys; they belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned());
        }
        let prefix = url.path().trim_matches('/').to_owned();
        if prefix.contains("//") {
            return Err("has a prefix with an empty part".to_owned());
        }
        let mut location = Self { bucket, prefix, endpoint: endpoint.cloned(), region: region.to_owned() };
        for (parameter, value) in url.query_pairs() {
            match parameter.as_ref() {
                "endpoint" => {
                    let endpoint = service_url(&value).map_err(|problem| format!("has an endpoint that {problem}"))?;
                    location.endpoint = Some(endpoint);
                }
                "region" => location.region = name(&value)?,
                _ => return Err("has a parameter other than endpoint and region".to_owned()),
            }
        }
        Ok(location)
    }
}

/// For log lines; contains no secret.
impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, prefix, region, .. } = self;
        write!(f, "s3://{bucket}/{prefix} in {region}")?;
        match self.endpoint.as_ref().and_then(Url::host_str) {
            Some(host) => write!(f, " at {host}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &str) -> Result<StorageLocation, String> {
        StorageLocation::parse(text, None, "us-east-1")
    }

    #[test]
    fn folders_are_absolute_urls_or_plain_paths() {
        for (text, path) in [
            ("file:///var/lib/app", "/var/lib/app"),
            ("file:///a%20b/c", "/a b/c"),
            (".cache/storage", ".cache/storage"),
            ("/srv", "/srv"),
        ] {
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
        assert_eq!(s3.endpoint.as_ref().unwrap().as_str(), "https://x.storage.supabase.co/storage/v1/s3");
        assert_eq!(s3.to_string(), "s3://docs/a/b in eu-west-2 at x.storage.supabase.co");
        let Ok(StorageLocation::S3(s3)) = location("s3://docs") else { panic!("it was refused") };
        assert_eq!((s3.prefix.as_str(), s3.endpoint, s3.region.as_str()), ("", None, "us-east-1"));
    }

    #[test]
    fn a_bucket_that_cannot_be_used_is_refused_without_its_secret() {
        for (text, cause) in [
            ("s3://", "bucket"),
            ("s3://key:quite-secret@docs", "AWS_SECRET_ACCESS_KEY"),
            ("s3://docs?acl=public", "parameter"),
            ("s3://docs?endpoint=nowhere", "endpoint"),
            ("s3://docs/a//b", "prefix"),
        ] {
            let problem = location(text).unwrap_err();
            assert!(problem.contains(cause) && !problem.contains("quite-secret"), "{text}: {problem}");
        }
    }
}
