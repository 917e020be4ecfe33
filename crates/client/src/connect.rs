//! Finds the API and the token: in the environment, else in the files of a running `app dev`.

use anyhow::Context;
use url::Url;

use super::http::ApiClient;
use crate::dev_dir::{API_URL_FILE, TOKEN_FILE, dev_dir, read_dev_file};
use config::{Client, Config, Role, Sources};
use domain::{Code, Failure, UserId, build_info::BuildInfo};

/// The client that the process's environment describes. The files of the working folder may be another program's.
pub(super) fn connect(sources: &Sources, build: &BuildInfo) -> anyhow::Result<ApiClient> {
    let config = Config::load(Role::Client, &sources.clone().without_working_folder())?;
    ApiClient::new(Target::find(&config.client)?, build)
}

/// An API and the credentials for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The API's address without the base path and without a slash at the end.
    pub(super) root: String,
    pub(super) token: String,
    /// The user to act for, where the token is a key for many users.
    pub(super) user_id: Option<UserId>,
    /// Where the token was found, for the error message when the API refuses it.
    pub(super) token_from: String,
}

impl Target {
    fn find(client: &Client) -> anyhow::Result<Self> {
        if client.url.is_some() && client.token.is_none() {
            return Err(
                not_configured("APP_URL is set, but APP_TOKEN is missing: a user's token or an API key.").into()
            );
        }
        let folder = dev_dir(client.dev_dir.as_deref());
        let left = |name: &str| {
            let file = folder.join(name);
            read_dev_file(&folder, name).with_context(|| format!("couldn't read {}", file.display()))
        };
        let left_url = || left(API_URL_FILE)?.map(|url| url.parse().context("`app dev` left no URL")).transpose();
        let Some(url) = client.url.clone().map_or_else(left_url, |url| Ok(Some(url)))? else {
            return Err(no_api().into());
        };
        let (token, token_from) = match &client.token {
            Some(token) => (token.expose().clone(), "APP_TOKEN".to_owned()),
            None => match left(TOKEN_FILE)? {
                Some(token) => (token, format!("{}, where `app dev` left it", folder.join(TOKEN_FILE).display())),
                None => return Err(no_api().into()),
            },
        };
        Ok(Self { root: root_of(&url), token, user_id: client.user_id, token_from })
    }
}

fn no_api() -> Failure {
    not_configured("No API is known. Start `scripts/dev` in this checkout, or set APP_URL and APP_TOKEN.")
}

fn not_configured(message: &str) -> Failure {
    Failure::new(Code::ClientNotConfigured, message)
}

/// `url` without the base path, which may be part of it or not.
fn root_of(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), messages::api_root(url.path()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::ConfigError;
    use domain::ErrorClass;

    fn find(variables: &[(&str, &str)]) -> anyhow::Result<Target> {
        let config = Config::load(Role::Client, &Sources::of(variables.iter().copied()))?;
        Target::find(&config.client)
    }

    #[test]
    fn the_environment_wins_over_the_files_of_app_dev() {
        let folder = std::env::temp_dir().join(format!("app-connect-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("api.url"), "http://127.0.0.1:4000\n").unwrap();
        std::fs::write(folder.join("token"), "left\n").unwrap();
        let dev = ("APP_DEV_DIR", folder.to_str().unwrap());
        let left = find(&[dev]).unwrap();
        let named = find(&[dev, ("APP_URL", "https://api.example/"), ("APP_TOKEN", "mine")]).unwrap();
        let mixed = find(&[dev, ("APP_TOKEN", "mine")]).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((&*left.root, &*left.token), ("http://127.0.0.1:4000", "left"));
        assert_eq!((&*named.root, &*named.token), ("https://api.example", "mine"));
        assert_eq!((&*mixed.root, &*mixed.token), ("http://127.0.0.1:4000", "mine"));
    }

    #[test]
    fn without_an_api_the_error_says_what_to_do_and_is_of_class_configuration() {
        let error = find(&[("APP_DEV_DIR", "/nonexistent/app-dev")]).unwrap_err();
        assert_eq!(error.downcast_ref::<Failure>().unwrap().class, ErrorClass::Configuration);
        assert!(error.to_string().contains("scripts/dev") && error.to_string().contains("APP_URL"), "{error}");
    }

    #[test]
    fn the_token_of_app_dev_is_never_sent_to_another_api() {
        let error = find(&[("APP_URL", "https://api.example")]).unwrap_err();
        assert!(error.to_string().contains("APP_TOKEN is missing"), "{error}");
    }

    #[test]
    fn the_base_path_may_be_part_of_the_url_or_not() {
        for url in ["https://a.example/x", "https://a.example/x/", "https://a.example/x/api/upload-pipeline/"] {
            assert_eq!(root_of(&url.parse().unwrap()), "https://a.example/x", "{url}");
        }
        for url in ["a.example", "ftp://a.example", "localhost:8000"] {
            let error = find(&[("APP_URL", url), ("APP_TOKEN", "mine")]).unwrap_err();
            assert!(error.is::<ConfigError>() && error.to_string().contains("APP_URL"), "{url}: {error}");
        }
    }
}
