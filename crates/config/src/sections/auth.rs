use super::*;

settings! {
    /// Which tokens are accepted.
    Auth in "auth", titled "Auth";

    /// The project whose users' tokens are accepted; issuer and key set (JWKS) are derived from it.
    SUPABASE_URL[API] supabase_url: Url = project_url, optional "https://abcdefghijklmnop.supabase.co";
    /// Secret of tokens signed with HS256 (Supabase's legacy JWT secret).
    SUPABASE_JWT_SECRET[API] jwt_secret: Secret<String> = jwt_secret, secret "a-secret-of-32-characters-or-more";
    /// Audience that a token must name.
    JWT_AUDIENCE[API] audience: String = name, default "authenticated";
}

impl Auth {
    /// The issuer of the project's tokens.
    pub fn issuer(&self) -> Option<String> {
        self.supabase_url.as_ref().map(|url| format!("{}/auth/v1", base(url)))
    }

    /// The address of the project's public keys.
    pub fn jwks_url(&self) -> Option<String> {
        self.issuer().map(|issuer| format!("{issuer}/.well-known/jwks.json"))
    }
}

fn base(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

fn project_url(text: &str) -> Result<Url, String> {
    let url = service_url(text)?;
    if ["/rest/v1", "/auth/v1", "/storage/v1"].iter().any(|service| base(&url).ends_with(service)) {
        return Err("is the address of one service; leave out everything after the host".to_owned());
    }
    Ok(url)
}

fn jwt_secret(text: &str) -> Result<Secret<String>, String> {
    if text.starts_with("eyJ") && text.matches('.').count() == 2 {
        return Err("is itself a token (the anon or service key); use the JWT secret".to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}
