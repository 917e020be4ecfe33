//! The API in the test's own process, with settings that have no variable, such as short timeouts, and with several
//! instances on one database.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use api::{ApiSettings, ApiState, serve};
use config::{Config, Role, Sources, StorageLocation};
use domain::build_info::BuildInfo;
use embedder::{LocalModel, LocalModelOptions, Precision};
use pg::{Db, PoolOptions};
use providers::{jwks::Jwks, object_storage::ObjectStorage};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    db::target,
    fleet::{Client, SECRET, USER, token},
    scratch::Scratch,
};

/// An API that is not started yet, with settings to change.
pub struct Plan {
    pub settings: ApiSettings,
    /// The URL of the issuer's key set.
    pub jwks: Option<String>,
}

/// A running API; stops when dropped.
pub struct Served {
    pub address: SocketAddr,
    pub client: Client,
    stop: CancellationToken,
    storage: Scratch,
}

impl Plan {
    /// An API that accepts the tokens of [`token`] and has no rate limits.
    pub fn new() -> Self {
        let variables = [
            ("ENVIRONMENT", "development"),
            ("SUPABASE_JWT_SECRET", SECRET),
            ("STORAGE_SIGNING_SECRET", "a secret for signed URLs of tests"),
            ("API_THREADS", "1"),
            ("API_GRACE", "1"),
            ("API_BODY_LIMIT", "1 MiB"),
            ("API_RATE_PER_MINUTE", "0"),
            ("API_RETRIES_PER_MINUTE", "0"),
            ("API_LOGIN_FAILURES_PER_MINUTE", "0"),
            ("API_TRUSTED_PROXIES", "0"),
            ("UPLOAD_MAX_BYTES", "1 MiB"),
            ("UPLOADS_PER_DAY", "0"),
        ];
        let (config, _faults) = Config::load_lenient(Role::Api, &Sources::of(variables));
        let settings = ApiSettings::new(&config).unwrap();
        Self { settings, jwks: None }
    }

    /// Starts it on the database at `url`.
    pub async fn serve(self, url: &str) -> Served {
        let storage = Scratch::new("served");
        let folder = storage.path().join("storage");
        std::fs::create_dir_all(&folder).unwrap();
        let store = ObjectStorage::open(&StorageLocation::Folder(folder), None).unwrap();
        let model = LocalModel::new(LocalModelOptions {
            name: "all-MiniLM-L6-v2".to_owned(),
            version: "1".to_owned(),
            places: std::env::var("APP_MODEL_DIR").into_iter().map(PathBuf::from).collect(),
            precision: Precision::Int8,
            threads: 1,
        });
        let db = Db::open(target(url), PoolOptions::default()).unwrap();
        let stop = CancellationToken::new();
        let build = BuildInfo::new("test", "test", store::migrations::SCHEMA_VERSION, |_| None);
        let mut state = ApiState::new(db, Arc::new(store), Arc::new(model), self.settings, build, stop.clone());
        if let Some(jwks) = self.jwks {
            state = state.with_keys(Arc::new(Jwks::new(jwks.parse().unwrap()).unwrap()));
        }
        let (bound, address) = oneshot::channel();
        let here = "127.0.0.1:0".parse().unwrap();
        let tell = |at| bound.send(at).expect("the test waits for it");
        tokio::spawn(serve(state, here, tell));
        let address = address.await.unwrap();
        let client = Client { root: format!("http://{address}"), token: token(USER) };
        Served { address, client, stop, storage }
    }
}

impl Served {
    /// The folder of its objects.
    pub fn storage(&self) -> PathBuf {
        self.storage.path().join("storage")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
