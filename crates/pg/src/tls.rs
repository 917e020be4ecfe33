//! TLS to Postgres, in the four modes of `sslmode`.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use time::OffsetDateTime;
use tokio_postgres_rustls::MakeRustlsConnect;
use x509_cert::{Certificate, der::Decode};

use super::url::TlsMode;

/// Why TLS cannot be set up. A retry does not help.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA file cannot be read.
    #[error("couldn't read the CA file {path}: {source}")]
    CaFile {
        /// The path as configured.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The CA file holds no usable certificate.
    #[error("the CA file {path} holds no usable certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    CaFileContent {
        /// The path as configured.
        path: PathBuf,
    },
    /// The operating system has no CA certificates, as in an image without `ca-certificates`.
    #[error(
        "couldn't load the system's certificate authorities ({0}); install ca-certificates or set DATABASE_CA_FILE"
    )]
    SystemRoots(rustls::Error),
    /// rustls refuses the provider's default protocol versions.
    #[error("couldn't set up TLS: {0}")]
    Setup(rustls::Error),
}

/// The certificate that the server showed at the first connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown(Arc<OnceLock<CertificateDer<'static>>>);

impl Shown {
    pub(super) fn ends_at(&self) -> Option<OffsetDateTime> {
        certificate_ends_at(self.0.get()?)
    }
}

/// When a certificate in DER form ends; `None` if it cannot be read.
pub fn certificate_ends_at(der: &[u8]) -> Option<OffsetDateTime> {
    let end = Certificate::from_der(der).ok()?.tbs_certificate.validity.not_after.to_unix_duration();
    OffsetDateTime::from_unix_timestamp(end.as_secs().try_into().ok()?).ok()
}

/// Makes the connector for `mode`. It trusts only the authorities in `ca_file`, or without a file the operating system's.
///
/// Reads files, so call it once for each pool. Does not depend on a process-wide crypto provider.
///
/// # Errors
///
/// The authorities cannot be loaded. `Disable` and `Require` need none.
pub fn make_tls(mode: TlsMode, ca_file: Option<&Path>) -> Result<MakeRustlsConnect, TlsError> {
    make_tls_that_shows(mode, ca_file, Shown::default())
}

/// The same; keeps the server's certificate in `shown`.
pub(super) fn make_tls_that_shows(
    mode: TlsMode,
    ca_file: Option<&Path>,
    shown: Shown,
) -> Result<MakeRustlsConnect, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let trusted = match mode {
        TlsMode::Disable | TlsMode::Require => None,
        TlsMode::VerifyCa | TlsMode::VerifyFull => Some(trusted(ca_file, &provider)?),
    };
    let verifier = Verifier { mode, trusted, shown, algorithms: provider.signature_verification_algorithms };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// A verifier that checks the chain and the name.
fn trusted(ca_file: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let Some(path) = ca_file else {
        let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(provider)).map_err(TlsError::SystemRoots)?;
        return Ok(Arc::new(verifier));
    };
    let unusable = || TlsError::CaFileContent { path: path.to_owned() };
    let pem = std::fs::read(path).map_err(|source| TlsError::CaFile { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|_pem| unusable())?).map_err(|_der| unusable())?;
    }
    // `build` refuses an empty store.
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    Ok(verifier.build().map_err(|_empty| unusable())?)
}

/// Checks the certificate as the mode asks. In every mode the server must prove that it has the certificate's key.
#[derive(Debug)]
struct Verifier {
    mode: TlsMode,
    /// Checks the chain and then the name; `None` for the modes that check neither.
    trusted: Option<Arc<dyn ServerCertVerifier>>,
    shown: Shown,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.shown.0.get_or_init(|| end_entity.clone().into_owned());
        let Some(trusted) = &self.trusted else {
            // tokio-postgres makes no handshake with TLS switched off; if it did, no certificate would pass.
            return match self.mode {
                TlsMode::Require => Ok(ServerCertVerified::assertion()),
                _ => Err(CertificateError::ApplicationVerificationFailure.into()),
            };
        };
        match trusted.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.mode == TlsMode::VerifyCa => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_for(content: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        match make_tls(TlsMode::VerifyFull, Some(file.path())) {
            Ok(_) => panic!("{content:?} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_ca_file_without_a_certificate_is_refused() {
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for content in [b"".as_slice(), b"not PEM", broken] {
            assert!(error_for(content).contains("holds no usable certificate"));
        }
    }

    #[test]
    fn a_missing_ca_file_is_named() {
        let missing = Path::new("/nonexistent/ca.pem");
        let Err(error) = make_tls(TlsMode::VerifyCa, Some(missing)) else { panic!("the file was accepted") };
        assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
    }

    #[test]
    fn modes_that_check_no_chain_need_no_authorities() {
        assert!(make_tls(TlsMode::Require, None).is_ok());
        assert!(make_tls(TlsMode::Disable, Some(Path::new("/nonexistent/ca.pem"))).is_ok());
    }
}
