//! Which API the command line talks to.

use std::path::PathBuf;

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
}

impl Client {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self { url: r.url("APP_URL"), token: r.secret("APP_TOKEN"), dev_dir: r.path("APP_DEV_DIR") }
    }
}
