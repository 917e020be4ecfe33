//! Keys and tokens: whether they belong together, and whether users can log in with what their project issues.

mod jwks;
mod project;

use super::{Scene, catalogue::Group, finding::Finding};

pub(super) const GROUP: Group = Group {
    name: "auth",
    checks: &[
        (project::PROJECT, "all settings that name a Supabase project name the same."),
        (jwks::KEYS, "users can log in, and the keys of their project are ones that this build verifies."),
    ],
    causes: &[
        &project::OTHER_PROJECT,
        &jwks::NO_WAY_IN,
        &jwks::JWKS_UNREACHABLE,
        &jwks::ALGORITHM_UNEXPECTED,
        &jwks::KID_MISSING,
    ],
};

pub(super) async fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let selection = &scene.options.selection;
    let mut findings = Vec::new();
    if selection.wants(project::PROJECT) {
        findings.push(project::check(scene.config));
    }
    if selection.wants(jwks::KEYS) {
        findings.push(jwks::check(scene.config).await);
    }
    findings
}
