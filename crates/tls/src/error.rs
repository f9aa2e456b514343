//! What can be wrong with certificates and keys.

use std::io;
use std::path::PathBuf;

/// What is wrong with certificates, keys, or the files that they are in.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A file is larger than any of its kind.
    #[error(
        "{} has more than {} bytes, the limit of a file of certificates; name the right file",
        path.display(),
        stockd_model::limits::CERTIFICATE_FILE_BYTES_MAX
    )]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// A file has no certificate in PEM.
    #[error("{} has no certificate; it must have '-----BEGIN CERTIFICATE-----' (PEM)", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file has no private key in PEM.
    #[error(
        "{} has no private key; it must have '-----BEGIN PRIVATE KEY-----' (PEM), without a password",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate cannot be used.
    #[error("{} has a certificate that cannot be used: {why}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The key cannot be used, or is not that of the certificate.
    #[error(
        "the key in {} and the certificate in {} cannot be used together: {why}; name a certificate and \
         its own key",
        key.display(),
        certificate.display()
    )]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why not.
        why: String,
    },
    /// The certificate was to replace another one, and is not valid any more.
    #[error("the certificate in {} has expired; the one in use stays", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
    },
    /// The system has no certificates of authorities.
    #[error("the system has no certificates to trust ({why}); name a file of them with --tls-ca")]
    NoRoots {
        /// Why not.
        why: String,
    },
    /// A client gives a certificate without a key or a key without a certificate.
    #[error("a client's certificate and its key go together: give both or neither")]
    HalfPair,
}
