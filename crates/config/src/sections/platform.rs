use super::*;

settings! {
    /// What the platform says about this process, and how it stops it.
    Platform in "platform", titled "Platform";

    /// The commit that runs. Default: the one that was built.
    RENDER_GIT_COMMIT[SERVERS] commit: String = name, variable "3f2a9c1d4e5b6a7980c1d2e3f4a5b6c7d8e9f0a1";
    /// The branch that it was deployed from.
    RENDER_GIT_BRANCH[SERVERS] branch: String = name, variable "main";
    /// Seconds that the platform leaves between SIGTERM and SIGKILL; grace periods must be shorter.
    SHUTDOWN_DELAY[BOTH] shutdown_delay: Duration = seconds(0.0..=3600.0), default "30";
    /// Instances of `app api` that may run at once, for the connection budget of `app check`.
    API_INSTANCES[CHECK] api_instances: u32 = whole(0..=10_000), default "1";
    /// Instances of `app worker` that may run at once, for the same.
    WORKER_INSTANCES[CHECK] worker_instances: u32 = whole(0..=10_000), default "1";
    /// Public address of the web service, for `API_PUBLIC_URL`.
    RENDER_EXTERNAL_URL[API] external_url: Url = service_url, variable "https://app.onrender.com";
}
