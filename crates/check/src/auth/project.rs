//! `env.project`: whether all settings that name a Supabase project name the same.

use super::super::finding::{Cause, Finding, Look};
use config::{Config, StorageLocation};
use pg::url::DatabaseUrl;

pub(super) const PROJECT: &str = "env.project";

pub(super) static OTHER_PROJECT: Cause = Cause::error(
    PROJECT,
    "other_project",
    "Settings of two Supabase projects are mixed, such as staging's and production's.",
);

/// The project that a Supabase host belongs to.
///
/// Source: Supabase, "Connect to your database" and "S3 authentication": `<ref>.supabase.co`, `<ref>.storage.supabase.co`.
pub(super) fn ref_of_host(host: &str) -> Option<&str> {
    let name = host.strip_suffix(".supabase.co")?;
    let name = name.strip_suffix(".storage").unwrap_or(name);
    (!name.is_empty() && !name.contains('.')).then_some(name)
}

/// Each setting that names a project, with the project.
pub(super) fn refs(config: &Config) -> Vec<(&'static str, String)> {
    let of_url = |url: &url::Url| url.host_str().and_then(ref_of_host).map(str::to_owned);
    let of_database = |url: &DatabaseUrl| url.project_ref().map(str::to_owned);
    let endpoint = match &config.storage.location {
        Some(StorageLocation::S3(s3)) => s3.endpoint.as_ref(),
        Some(StorageLocation::Folder(_)) | None => None,
    };
    let found = [
        ("DATABASE_URL", config.database.url.as_ref().and_then(of_database)),
        ("DIRECT_URL", config.database.direct_url.as_ref().and_then(of_database)),
        ("SUPABASE_URL", config.auth.supabase_url.as_ref().and_then(of_url)),
        ("STORAGE_URL", endpoint.and_then(of_url)),
    ];
    found.into_iter().filter_map(|(name, project)| Some((name, project?))).collect()
}

pub(super) fn check(config: &Config) -> Finding {
    let look = Look::at(PROJECT);
    let refs = refs(config);
    let named: Vec<String> = refs.iter().map(|(name, project)| format!("{name}: {project}")).collect();
    let Some((_, first)) = refs.first() else { return look.skipped("no setting names a Supabase project") };
    if refs.iter().all(|(_, project)| project == first) {
        return look.passed(named.join(", "));
    }
    let fix = format!("Take all of them from {}'s project.", config.environment);
    look.found(&OTHER_PROJECT, named.join(", "), fix).expecting("one project")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_read_from_its_hosts_alone() {
        for host in ["abcdefghij.supabase.co", "abcdefghij.storage.supabase.co"] {
            assert_eq!(ref_of_host(host), Some("abcdefghij"), "{host}");
        }
        for host in ["supabase.co", "a.b.supabase.co", "abcdefghij.example.com", "abc.supabase.com", ".supabase.co"] {
            assert_eq!(ref_of_host(host), None, "{host}");
        }
    }
}
