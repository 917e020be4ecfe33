use super::*;
use ::domain::UserId;

settings! {
    /// Which API the command line talks to, and where `app dev` keeps its data.
    Client in "client", titled "Clients and `app dev`";

    /// The API that `app upload`, `app jobs` and `app search` talk to. Default: a running `app dev`.
    APP_URL[CLIENT] url: Url = service_url, variable "https://api.example.com";
    /// What these commands log in with. Default: the token of a running `app dev`.
    APP_TOKEN[CLIENT] token: Secret<String> = secret, secret "a JWT or an API key";
    /// The user for whom they act, where `APP_TOKEN` is an API key that speaks for many.
    APP_USER_ID[CLIENT_ONLY] user_id: UserId = parsed, variable "6b0f9d5e-3f1c-4d6a-9a55-0d3f6c1f2b11";
    /// Seconds that the document of `app check --e2e` may take to be complete, 480 at most; more where a backlog is
    /// normal.
    // Longer, and another check would take the document for one that was left behind.
    E2E_TIMEOUT[CHECK] e2e_timeout: Duration = seconds(1.0..=480.0), default "60";
    /// Data folder of `app dev`. Default: a private one per checkout.
    APP_DEV_DIR[DEV] dev_dir: PathBuf = path, variable "/tmp/app-dev";
}
