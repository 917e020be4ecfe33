use sha2::{Digest, Sha256};

use super::*;

settings! {
    /// Where documents are kept.
    Storage in "storage", titled "Storage";

    /// Where documents are kept: `s3://bucket/prefix?endpoint=…&region=…`, or a folder (`file:///var/lib/app`,
    /// `./storage`) where one machine does everything.
    STORAGE_URL[STORED] location: StorageLocation = _,
        late "s3://documents/app?endpoint=https://abc.storage.supabase.co/storage/v1/s3&region=eu-west-2", key "url";
    /// `true` accepts a folder outside development too: only right if all processes use the same disk.
    STORAGE_ALLOW_LOCAL[STORED] allow_local: bool = flag, default "false", example "true";
    /// Signs our own upload URLs, 32 characters or more, the same in every process of the API. Development derives one.
    STORAGE_SIGNING_SECRET[API] signing_secret: Secret<String> = long_secret,
        secret "32 random bytes: openssl rand -hex 32";
    /// Key of an S3 store.
    AWS_ACCESS_KEY_ID[STORED] access_key_id: Secret<String> = secret, secret "AKIA…";
    /// Secret of that key.
    AWS_SECRET_ACCESS_KEY[STORED] secret_access_key: Secret<String> = secret, secret "wJalr…";
    /// Region of an S3 store whose `STORAGE_URL` names none.
    AWS_REGION[STORED] region: String = name, default "us-east-1", example "eu-west-2";
    /// Address of an S3 store other than AWS whose `STORAGE_URL` names none.
    AWS_ENDPOINT_URL[STORED] endpoint: Url = service_url, optional "https://minio.example.com";
}

impl Storage {
    /// Reads the location, after its defaults for region and endpoint, and derives the secret of development.
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
    /// `STORAGE_URL` is not set. [`Config::load`](crate::Config::load) rules this out for the roles that need it.
    pub fn location(&self) -> Result<&StorageLocation, ConfigError> {
        self.location.as_ref().ok_or_else(|| ConfigError(vec![Fault::missing(&Self::STORAGE_URL)]))
    }

    /// The secret that signs our own upload URLs.
    ///
    /// # Errors
    ///
    /// `STORAGE_SIGNING_SECRET` is not set, as for [`location`](Self::location). Development always has one.
    pub fn signing_secret(&self) -> Result<&Secret<String>, ConfigError> {
        self.signing_secret.as_ref().ok_or_else(|| ConfigError(vec![Fault::missing(&Self::STORAGE_SIGNING_SECRET)]))
    }
}

/// The same for all processes with the same store. It can be computed from this code, so it is for development only.
fn derived_secret(location: Option<&StorageLocation>) -> Secret<String> {
    let digest = Sha256::digest(format!("app development upload URLs: {location:?}"));
    Secret::new(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
