use super::*;
use ::telemetry::{LogFilter, LogFormat};

settings! {
    /// Which deployment this is, and what is logged.
    Telemetry in "telemetry", titled "Everything";

    /// Which deployment this is: `development`, `staging` or `production`. The database is stamped with it.
    ENVIRONMENT[SERVERS] environment: Environment = one_of(Environment::ALL), variable "production";
    /// Folder of `default.toml` and `{environment}.toml`. Default: `config` in the working folder, else the copies in
    /// the program.
    APP_CONFIG_DIR[ALL] config_dir: PathBuf = path, variable "/etc/app";
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace` or `off`, and per module, as in
    /// `info,app_queue=debug`.
    LOG_LEVEL[SERVERS] log_level: LogFilter = parsed, default "info";
    /// `text` for people, `json` for one object a line.
    LOG_FORMAT[SERVERS] log_format: LogFormat = one_of(LogFormat::ALL), default "json";
}
