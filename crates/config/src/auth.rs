//! Whose tokens are taken.

use url::Url;

use super::{reader::Reader, secret::Secret, values};

/// Whose tokens are taken.
#[derive(Debug, Clone)]
pub struct Auth {
    /// The Supabase project.
    pub supabase_url: Option<Url>,
    /// Secret of tokens signed with HS256.
    pub jwt_secret: Option<Secret<String>>,
    /// Audience that a token must name.
    pub audience: String,
    /// For our own calls to Supabase; never a caller's credential.
    pub service_role_key: Option<Secret<String>>,
}

impl Auth {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            supabase_url: r.optional("SUPABASE_URL", project_url),
            jwt_secret: r.optional("SUPABASE_JWT_SECRET", jwt_secret),
            audience: r.name("JWT_AUDIENCE"),
            service_role_key: r.secret("SUPABASE_SERVICE_ROLE_KEY"),
        }
    }

    /// The issuer that a token of the project names.
    pub fn issuer(&self) -> Option<String> {
        self.supabase_url.as_ref().map(|url| format!("{}/auth/v1", base(url)))
    }

    /// Where the project publishes its public keys.
    pub fn jwks_url(&self) -> Option<String> {
        self.issuer().map(|issuer| format!("{issuer}/.well-known/jwks.json"))
    }
}

fn base(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

fn project_url(text: &str) -> Result<Url, String> {
    let url = values::service_url(text)?;
    if ["/rest/v1", "/auth/v1", "/storage/v1"].iter().any(|service| base(&url).ends_with(service)) {
        return Err("is the address of one service; leave out everything after the host".to_owned());
    }
    Ok(url)
}

fn jwt_secret(text: &str) -> Result<Secret<String>, String> {
    if text.starts_with("eyJ") && text.matches('.').count() == 2 {
        return Err("is itself a token (the anon or service key); take the JWT secret".to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}
