//! `env.project`: whether all settings that name a Supabase project name the same one.

use super::super::check::{Context, Outcome, Problem, declare};
use config::{Config, StorageLocation};
use pg::url::DatabaseUrl;

declare! {
    PROJECT = once("env.project", "all settings that name a Supabase project name the same one.", project);
    OTHER_PROJECT = error("other_project",
        "Settings of two Supabase projects are mixed, such as staging's and production's.");
}

async fn project(context: &Context<'_>) -> Outcome {
    let projects = list_projects(context.config);
    let named: Vec<String> = projects.iter().map(|(name, project)| format!("{name}: {project}")).collect();
    match projects.first() {
        None => Problem::skipped("no setting names a Supabase project"),
        Some((_, first)) if projects.iter().all(|(_, project)| project == first) => Ok(named.join(", ")),
        Some(_) => {
            let fix = format!("Use the values of {}'s project for all of them.", context.config.environment);
            Err(OTHER_PROJECT.seen(named.join(", ")).fix(fix).expecting("one project"))
        }
    }
}

/// The settings that name a project, each with the project.
fn list_projects(config: &Config) -> Vec<(&'static str, String)> {
    let of_url = |url: &url::Url| url.host_str().and_then(project_of_host).map(str::to_owned);
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

/// The project of a Supabase host: `<ref>.supabase.co` (Supabase, "Connect to your database") or
/// `<ref>.storage.supabase.co` ("S3 authentication").
fn project_of_host(host: &str) -> Option<&str> {
    let name = host.strip_suffix(".supabase.co")?;
    let name = name.strip_suffix(".storage").unwrap_or(name);
    (!name.is_empty() && !name.contains('.')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_read_only_from_its_own_hosts() {
        for host in ["abcdefghij.supabase.co", "abcdefghij.storage.supabase.co"] {
            assert_eq!(project_of_host(host), Some("abcdefghij"), "{host}");
        }
        for host in ["supabase.co", "a.b.supabase.co", "abcdefghij.example.com", "abc.supabase.com", ".supabase.co"] {
            assert_eq!(project_of_host(host), None, "{host}");
        }
    }
}
