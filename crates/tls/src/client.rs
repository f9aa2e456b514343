//! What a client trusts, and what it shows.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use crate::{TlsError, files};

/// Where a client's trust comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// The authorities that the server's certificate must come from, in PEM; those of the system unless
    /// named.
    pub ca: Option<PathBuf>,
    /// The client's own certificate, in PEM, if it shows one.
    pub certificate: Option<PathBuf>,
    /// Its private key, in PEM.
    pub key: Option<PathBuf>,
}

/// How a client speaks TLS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Reads and checks the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`], which names the file.
    pub fn load(files: &ClientFiles) -> Result<ClientTls, TlsError> {
        let roots = match &files.ca {
            Some(path) => files::roots(path, &files::read(path)?)?,
            None => system_roots()?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::NoRoots { why: error.to_string() })?
            .with_root_certificates(roots);
        let config = match (&files.certificate, &files.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let chain = files::chain(certificate, &files::read(certificate)?)?;
                let der = files::key(key, &files::read(key)?)?;
                builder.with_client_auth_cert(chain, der).map_err(|why| TlsError::Pair {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    why: why.to_string(),
                })?
            }
            _ => return Err(TlsError::HalfPair),
        };
        Ok(ClientTls { config: Arc::new(config) })
    }

    /// What a new connection is begun with.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &ClientTls) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for ClientTls {}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    match added {
        0 => {
            let why = found.errors.first().map_or("none found".to_owned(), ToString::to_string);
            Err(TlsError::NoRoots { why })
        }
        _ => Ok(roots),
    }
}
