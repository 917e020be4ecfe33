//! The version, commit and time of this build.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Version, commit, branch, time and schema of this build. The platform's variables override the commit and the branch
/// that were compiled in, since an image may be built without git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildInfo {
    /// Version of the package.
    pub version: &'static str,
    /// Commit, 40 hex digits, followed by `-dirty` if the source differed from it; or `unknown`.
    pub commit: String,
    /// Branch, or `unknown`.
    pub branch: String,
    /// When it was built, to the second; `None`: unknown.
    pub built_at: Option<OffsetDateTime>,
    /// The number of the newest migration that it knows: `V0008__…` is 8.
    pub schema_version: i32,
}

impl BuildInfo {
    /// From the compiled-in values, overridden by `lookup` (the process environment).
    pub fn new(
        baked_commit: &str,
        baked_branch: &str,
        schema_version: i32,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let or_baked = |name: &str, baked: &str| {
            lookup(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
                .unwrap_or_else(|| baked.to_owned())
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: or_baked("RENDER_GIT_COMMIT", baked_commit),
            branch: or_baked("RENDER_GIT_BRANCH", baked_branch),
            built_at: None,
            schema_version,
        }
    }

    /// The same build with its time, in seconds since 1970 as build.rs compiles them in; unknown if it is not a number.
    #[must_use]
    pub fn with_built_at(mut self, seconds: &str) -> Self {
        self.built_at = seconds.parse().ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        self
    }
}

impl std::fmt::Display for BuildInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let built_at = self.built_at.and_then(|at| at.format(&Rfc3339).ok());
        let built_at = built_at.as_deref().unwrap_or("unknown");
        let Self { version, commit, branch, schema_version, .. } = self;
        write!(f, "{version} (commit {commit}, branch {branch}, built {built_at}, schema {schema_version})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platforms_commit_and_branch_win_over_those_baked_in() {
        let platform = |name: &str| match name {
            "RENDER_GIT_COMMIT" => Some("c0ffee\n".to_owned()),
            "RENDER_GIT_BRANCH" => Some(" ".to_owned()),
            _ => None,
        };
        let build = BuildInfo::new("baked", "main", 8, platform).with_built_at("1763794800");
        assert_eq!((build.commit.as_str(), build.branch.as_str()), ("c0ffee", "main"));
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            build.to_string(),
            format!("{version} (commit c0ffee, branch main, built 2025-11-22T07:00:00Z, schema 8)")
        );
    }

    #[test]
    fn an_unknown_time_is_said_to_be_unknown() {
        let build = BuildInfo::new("baked", "main", 8, |_| None).with_built_at("unknown");
        assert_eq!(build.built_at, None);
        assert!(build.to_string().contains("built unknown"), "{build}");
    }
}
