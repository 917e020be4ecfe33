//! Certificates for tests, made with openssl.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::scratch::Scratch;

/// Validity of the authorities, and of a certificate that does not end soon.
pub const DAYS: &str = "90";

/// Makes two certificate authorities, and a certificate for `localhost` of so many days, signed by the first.
pub fn make(folder: &Path, days: &str) {
    let config = "[req]\ndistinguished_name=name\n[name]\n\
                  [ca]\nbasicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n\
                  [server]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost\n";
    std::fs::write(folder.join("openssl.cnf"), config).expect("openssl.cnf");
    let make = |name: &str, subject: &str, section: &str, extra: &[&str]| {
        let mut command = Command::new("openssl");
        command.current_dir(folder).args(["req", "-x509", "-config", "openssl.cnf", "-nodes", "-newkey", "ec"]);
        command.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", subject, "-extensions", section]);
        command.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]).args(extra);
        run(&mut command);
    };
    let from_ca = ["-CA", "ca.pem", "-CAkey", "ca.key"];
    make("ca", "/CN=Authority", "ca", &["-days", DAYS]);
    make("other-ca", "/CN=Other authority", "ca", &["-days", DAYS]);
    make("server", "/CN=localhost", "server", &[from_ca.as_slice(), &["-days", days]].concat());
    std::fs::set_permissions(folder.join("server.key"), std::fs::Permissions::from_mode(0o600)).expect("a private key");
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("couldn't start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A certificate for a server on `localhost`, and the authority for its clients.
pub struct ServerCertificate {
    folder: Scratch,
    /// The configuration of the server.
    pub server: Arc<ServerConfig>,
}

impl ServerCertificate {
    pub fn make() -> Self {
        Self::of(DAYS)
    }

    /// A certificate of so many days.
    pub fn of(days: &str) -> Self {
        let folder = Scratch::new("certificates");
        std::fs::create_dir(folder.path()).unwrap();
        make(folder.path(), days);
        let chain = vec![CertificateDer::from_pem_file(folder.path().join("server.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(folder.path().join("server.key")).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self { folder, server: Arc::new(server) }
    }

    /// The value of SSL_CERT_FILE.
    pub fn ca_file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }
}
