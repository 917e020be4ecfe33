use super::*;
use ::domain::UserId;

settings! {
    /// Which API the command line talks to, and where `app dev` keeps its data.
    Client in "client", titled "Clients and `app dev`";

    /// The API that `app upload`, `app jobs` and `app search` talk to. Default: a running `app dev`.
    APP_URL[CLIENT] url: Url = service_url, variable "https://api.example.com";
    /// The token with which these commands log in. Default: the token of a running `app dev`.
    APP_TOKEN[CLIENT] token: Secret<String> = secret, secret "a JWT or an API key";
    /// The user for whom they act, if `APP_TOKEN` is an API key for many users.
    APP_USER_ID[CLIENT_ONLY] user_id: UserId = parsed, variable "6b0f9d5e-3f1c-4d6a-9a55-0d3f6c1f2b11";
    /// Seconds that the document of `app check --e2e` may take to be complete, 480 at most; more if a backlog is
    /// normal.
    // After a longer time, another check would treat the document as left behind, and remove it.
    E2E_TIMEOUT[CHECK] e2e_timeout: Duration = seconds(1.0..=480.0), default "60";
    /// Data folder of `app dev`. Default: a private one per checkout.
    APP_DEV_DIR[DEV] dev_dir: PathBuf = path, variable "/tmp/app-dev";
}
