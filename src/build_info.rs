//! Which build this is.

/// Version, commit and branch of this build. The platform's variables win over what was baked in, since an image may
/// be built without git at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildInfo {
    /// Version of the package.
    pub version: &'static str,
    /// Commit, 40 hex digits, or `unknown`.
    pub commit: String,
    /// Branch, or `unknown`.
    pub branch: String,
}

impl BuildInfo {
    /// From what the build baked in, under what `lookup` (the process environment) says.
    pub fn new(baked_commit: &str, baked_branch: &str, lookup: impl Fn(&str) -> Option<String>) -> Self {
        let or_baked = |name: &str, baked: &str| {
            lookup(name).filter(|value| !value.trim().is_empty()).unwrap_or_else(|| baked.to_owned())
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: or_baked("RENDER_GIT_COMMIT", baked_commit),
            branch: or_baked("RENDER_GIT_BRANCH", baked_branch),
        }
    }
}

impl std::fmt::Display for BuildInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (commit {}, branch {})", self.version, self.commit, self.branch)
    }
}
