use sha2::{Digest, Sha256};

use super::*;

settings! {
    /// Where documents are kept.
    Storage in "storage", titled "Storage";

    /// Where documents are kept: `s3://bucket/prefix?endpoint=…&region=…`, or a folder (`file:///var/lib/app`,
    /// `./storage`) where one machine does everything.
    STORAGE_URL[BOTH] location: StorageLocation = _,
        late "s3://documents/app?endpoint=https://abc.storage.supabase.co/storage/v1/s3&region=eu-west-2", key "url";
    /// `true` takes a folder outside development too: only right when every process sees the same disk.
    STORAGE_ALLOW_LOCAL[BOTH] allow_local: bool = flag, default "false", example "true";
    /// Signs our own upload URLs, 32 characters or more, the same in every process of the API. Development derives one.
    STORAGE_SIGNING_SECRET[API] signing_secret: Secret<String> = long_secret,
        secret "32 random bytes: openssl rand -hex 32";
    /// Key of an S3 store.
    AWS_ACCESS_KEY_ID[BOTH] access_key_id: Secret<String> = secret, secret "AKIA…";
    /// Secret of that key.
    AWS_SECRET_ACCESS_KEY[BOTH] secret_access_key: Secret<String> = secret, secret "wJalr…";
    /// Region of an S3 store whose `STORAGE_URL` names none.
    AWS_REGION[BOTH] region: String = name, default "us-east-1", example "eu-west-2";
    /// Address of an S3 store other than AWS whose `STORAGE_URL` names none.
    AWS_ENDPOINT_URL[BOTH] endpoint: Url = service_url, optional "https://minio.example.com";
}

impl Storage {
    /// Reads the location, which the region and the endpoint complete, and derives the secret of a laptop.
    pub(crate) fn complete(mut self, reader: &mut Reader<'_>) -> Self {
        let parse = |text: &str| StorageLocation::parse(text, self.endpoint.as_ref(), &self.region);
        self.location = reader.optional(&Self::STORAGE_URL, parse);
        if self.signing_secret.is_none() && reader.environment() == Environment::Development {
            self.signing_secret = Some(derived_secret(self.location.as_ref()));
        }
        self
    }

    /// Where documents are kept.
    ///
    /// # Errors
    ///
    /// Without `STORAGE_URL`, which [`Config::load`](crate::Config::load) rules out for the roles that need it.
    pub fn location(&self) -> Result<&StorageLocation, ConfigError> {
        self.location.as_ref().ok_or_else(|| ConfigError(vec![Fault::missing(&Self::STORAGE_URL)]))
    }

    /// Signs our own upload URLs.
    ///
    /// # Errors
    ///
    /// Without `STORAGE_SIGNING_SECRET`, as for [`location`](Self::location). Development always has one.
    pub fn signing_secret(&self) -> Result<&Secret<String>, ConfigError> {
        self.signing_secret.as_ref().ok_or_else(|| ConfigError(vec![Fault::missing(&Self::STORAGE_SIGNING_SECRET)]))
    }
}

/// The same in every process of a laptop that shares a store; anyone who has this code can compute it.
fn derived_secret(location: Option<&StorageLocation>) -> Secret<String> {
    let digest = Sha256::digest(format!("app development upload URLs: {location:?}"));
    Secret::new(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
