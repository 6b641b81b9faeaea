//! TLS settings: whom to trust and whom to say we are. Reads files; runs on a blocking thread.
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::config::{ConfigError, HostSettings, KeyPair, TlsRoots};

/// Where distributions keep the bundle of trusted authorities.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Settings for a client that never speaks TLS.
pub(super) fn nothing() -> Result<ClientConfig, ConfigError> {
    let builder = versions("plain HTTP")?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// The authorities trusted for every host.
pub(super) fn trusted(roots: &TlsRoots) -> Result<RootCertStore, ConfigError> {
    let mut store = RootCertStore::empty();
    for file in &roots.files {
        add_authorities(&mut store, file)?;
    }
    if roots.files.is_empty()
        && let Some(bundle) = SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.is_file())
        && let Err(error) = add_authorities(&mut store, bundle)
    {
        tracing::warn!(%error, "the machine's certificate authorities are not used");
    }
    if roots.embedded {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(store)
}

/// Settings for one host: the authorities of all hosts and its own, its client certificate, its folders.
pub(super) fn for_host(
    host: &str,
    settings: Option<&HostSettings>,
    dirs: &[PathBuf],
    trusted: Arc<RootCertStore>,
) -> Result<ClientConfig, ConfigError> {
    let mut pairs: Vec<KeyPair> = settings.map(|settings| settings.keypair.clone()).unwrap_or_default();
    let mut authorities: Vec<PathBuf> = settings.map(|settings| settings.ca.clone()).unwrap_or_default();
    for dir in dirs {
        scan(dir, &mut authorities, &mut pairs)?;
    }
    let mut store = trusted;
    for file in &authorities {
        add_authorities(Arc::make_mut(&mut store), file)?;
    }
    let builder = versions(host)?;
    let builder = if settings.is_some_and(|settings| settings.insecure) {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(ring::default_provider())))
    } else {
        builder.with_root_certificates(store)
    };
    let Some(pair) = pairs.first() else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(&pair.cert)?;
    let key = PrivateKeyDer::from_pem_reader(open(&pair.key)?).map_err(|error| bad(&pair.key, &error))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| bad(&pair.cert, &error))
}

fn versions(host: &str) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, ConfigError> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::Tls { host: host.into(), problem: error.to_string() })
}

/// Collects from a folder of `*.crt` and pairs of `*.cert` and `*.key`, in name order.
fn scan(dir: &Path, authorities: &mut Vec<PathBuf>, pairs: &mut Vec<KeyPair>) -> Result<(), ConfigError> {
    let failed = |source| ConfigError::File { path: dir.into(), source };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    paths.sort();
    for path in paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => authorities.push(path),
            Some("cert") => pairs.push(KeyPair { key: path.with_extension("key"), cert: path }),
            _ => {}
        }
    }
    Ok(())
}

/// Adds a bundle's certificates. Single ones that can't be used are skipped, as every TLS library does.
fn add_authorities(store: &mut RootCertStore, path: &Path) -> Result<(), ConfigError> {
    let (added, _) = store.add_parsable_certificates(certificates(path)?);
    if added == 0 {
        return Err(bad(path, &"it holds no usable certificate"));
    }
    Ok(())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    CertificateDer::pem_reader_iter(open(path)?).collect::<Result<_, _>>().map_err(|error| bad(path, &error))
}

fn open(path: &Path) -> Result<BufReader<std::fs::File>, ConfigError> {
    let file = std::fs::File::open(path).map_err(|source| ConfigError::File { path: path.into(), source })?;
    Ok(BufReader::new(file))
}

fn bad(path: &Path, problem: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Certificate { path: path.into(), problem: problem.to_string() }
}

/// Takes any certificate, for hosts configured as `insecure`. Signatures are still checked.
#[derive(Debug)]
struct AcceptAny(CryptoProvider);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mozillas_authorities_are_part_of_the_program() {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tls/ca.crt").into();
        let count = |embedded| {
            let roots = TlsRoots { files: vec![std::path::PathBuf::clone(&own)], embedded };
            trusted(&roots).unwrap().len()
        };
        assert_eq!(count(false), 1);
        assert!(count(true) > 100);
    }
}
