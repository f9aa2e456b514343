//! Files of certificates and keys, in PEM (RFC 7468).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use stockd_model::limits::CERTIFICATE_FILE_BYTES_MAX;

use crate::TlsError;

/// The bytes of a file, at most [`CERTIFICATE_FILE_BYTES_MAX`].
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |cause| TlsError::Unreadable { path: path.to_owned(), cause };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let limit = CERTIFICATE_FILE_BYTES_MAX as u64;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() > CERTIFICATE_FILE_BYTES_MAX {
        true => Err(TlsError::TooLong { path: path.to_owned() }),
        false => Ok(bytes),
    }
}

/// The certificates in a file, at least one: first that of the holder, then those of its issuers.
pub(crate) fn chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(TlsError::NoCertificate { path: path.to_owned() }),
        Ok(chain) => Ok(chain),
        Err(error) => Err(TlsError::Certificate { path: path.to_owned(), why: error.to_string() }),
    }
}

/// The private key in a file, of which there has to be one.
pub(crate) fn key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::NoKey { path: path.to_owned() })
}

/// The authorities in a file, at least one.
pub(crate) fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path, pem)? {
        roots.add(certificate).map_err(|error| TlsError::Certificate {
            path: path.to_owned(),
            why: error.to_string(),
        })?;
    }
    Ok(roots)
}
