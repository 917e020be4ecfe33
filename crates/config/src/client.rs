//! Which API the command line talks to.

use std::{path::PathBuf, time::Duration};

use url::Url;

use super::{reader::Reader, secret::Secret};

/// Which API the command line talks to, and where `app dev` keeps its data.
#[derive(Debug, Clone)]
pub struct Client {
    /// The API; `None`: a running `app dev`.
    pub url: Option<Url>,
    /// What to log in with; `None`: the token of a running `app dev`.
    pub token: Option<Secret<String>>,
    /// Data folder of `app dev`; `None`: a private one per checkout.
    pub dev_dir: Option<PathBuf>,
    /// Time that the document of `app check --e2e` may take.
    pub e2e_timeout: Duration,
}

impl Client {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            url: r.url("APP_URL"),
            token: r.secret("APP_TOKEN"),
            dev_dir: r.path("APP_DEV_DIR"),
            // Longer, and another check would take the document for one that was left behind.
            e2e_timeout: r.seconds("E2E_TIMEOUT", 1.0..=480.0),
        }
    }
}
