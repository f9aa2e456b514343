//! What a server shows its clients: a certificate and its key, taken from files and exchanged when they
//! change.
//!
//! [`ServerTls::look`] reads the files and takes what they hold as one, or leaves everything as it is.
//! When to look is somebody else's business, and so is the log.
//!
//! Invariant: the certificate in use is that of the key in use, however files were written meanwhile.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use sha2::{Digest, Sha256};
use stockd_model::limits::CERTIFICATE_EXPIRY_WARNING;
use x509_parser::parse_x509_certificate;

use crate::{TlsError, files};

/// Where a server's certificate is, and whose certificates it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// The certificate, and behind it those of its issuers, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// The authorities whose clients are known, in PEM. Without one no certificate of a client counts.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show certificates.
    pub clients: ClientCertificates,
}

/// Whether clients show certificates of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    Off,
    /// They are asked. Without one a client is as one over a plain connection.
    Optional,
    /// A client without one is sent away.
    Required,
}

/// From when until when a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: i64,
    /// The last second.
    pub until: i64,
}

/// The certificate of a server, as it is now.
#[derive(Debug)]
pub struct ServerTls {
    files: ServerFiles,
    current: ArcSwap<Current>,
    /// What the files held when they were last looked at.
    seen: Mutex<[u8; 32]>,
    exchanged: AtomicU64,
    refused: AtomicU64,
}

/// One pair, whole.
#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// The same for HTTP.
    http: Arc<ServerConfig>,
    validity: Validity,
}

/// The bytes of all files, read once.
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl ServerTls {
    /// Reads and checks the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`], which names the file.
    pub fn load(files: ServerFiles) -> Result<ServerTls, TlsError> {
        let contents = Contents::read(&files)?;
        let current = contents.check(&files)?;
        Ok(ServerTls {
            files,
            current: ArcSwap::from_pointee(current),
            seen: Mutex::new(contents.digest()),
            exchanged: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// What a new connection is begun with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// The same, which offers HTTP/2 and HTTP/1.1 to clients that ask (ALPN, RFC 7301).
    pub fn http_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().http)
    }

    /// Looks whether the files have changed, and takes what they hold if that is whole. Returns whether
    /// it did. What connections have begun with stays theirs.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when the files have changed and cannot be taken: once for each change.
    pub fn look(&self) -> Result<bool, TlsError> {
        let taken = self.try_look();
        match &taken {
            Ok(false) => {}
            Ok(true) => _ = self.exchanged.fetch_add(1, Ordering::Relaxed),
            Err(_) => _ = self.refused.fetch_add(1, Ordering::Relaxed),
        }
        taken
    }

    fn try_look(&self) -> Result<bool, TlsError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = match Contents::read(&self.files) {
            Ok(contents) => contents,
            // A file that is gone is a change too, and said once.
            Err(error) => {
                let gone = Sha256::digest(error.to_string()).into();
                return match std::mem::replace(&mut *seen, gone) == gone {
                    true => Ok(false),
                    false => Err(error),
                };
            }
        };
        let digest = contents.digest();
        if std::mem::replace(&mut *seen, digest) == digest {
            return Ok(false);
        }
        let next = contents.check(&self.files)?;
        if next.validity.left(SystemTime::now()).is_zero() {
            return Err(TlsError::Expired { path: self.files.certificate.clone() });
        }
        self.current.store(Arc::new(next));
        Ok(true)
    }

    /// How long the certificate in use is valid.
    pub fn validity(&self) -> Validity {
        self.current.load().validity
    }

    /// How often another certificate was taken.
    pub fn exchanged(&self) -> u64 {
        self.exchanged.load(Ordering::Relaxed)
    }

    /// How often files had changed and could not be taken.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Validity {
    /// The time that is left of it; 0 when it is over.
    pub fn left(&self, now: SystemTime) -> Duration {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let until = u64::try_from(self.until).unwrap_or(0);
        Duration::from_secs(until.saturating_sub(now))
    }

    /// Whether it is over, or nearly: [`CERTIFICATE_EXPIRY_WARNING`] is left, or less.
    pub fn ends_soon(&self, now: SystemTime) -> bool {
        self.left(now) <= CERTIFICATE_EXPIRY_WARNING
    }
}

impl Contents {
    fn read(files: &ServerFiles) -> Result<Contents, TlsError> {
        Ok(Contents {
            certificate: files::read(&files.certificate)?,
            key: files::read(&files.key)?,
            client_ca: files.client_ca.as_deref().map(files::read).transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for part in [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()] {
            digest.update(part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
            digest.update(part.map_or(&[][..], Vec::as_slice));
        }
        digest.finalize().into()
    }

    /// Makes a configuration of them, if they fit.
    fn check(&self, files: &ServerFiles) -> Result<Current, TlsError> {
        let chain = files::chain(&files.certificate, &self.certificate)?;
        let key = files::key(&files.key, &self.key)?;
        let validity = validity(&chain[0])
            .map_err(|why| TlsError::Certificate { path: files.certificate.clone(), why })?;
        let unusable = |why: rustls::Error| TlsError::Pair {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            why: why.to_string(),
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match self.client_roots(files)? {
            None => builder.with_no_client_auth(),
            Some((path, roots)) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                let verifier = match files.clients {
                    ClientCertificates::Required => verifier,
                    _ => verifier.allow_unauthenticated(),
                };
                let verifier = verifier.build().map_err(|error| TlsError::Certificate {
                    path: path.clone(),
                    why: error.to_string(),
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
        // Sessions are resumed with tickets alone, so that clients take no memory when they are gone.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.ticketer = ring::Ticketer::new().map_err(unusable)?;
        config.send_tls13_tickets = 1;
        // All that are offered are good; which is the best is not left to a client that may be old.
        config.ignore_client_order = true;
        let mut http = config.clone();
        http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Current { config: Arc::new(config), http: Arc::new(http), validity })
    }

    /// The authorities of clients, where clients are asked for certificates.
    fn client_roots<'a>(
        &self,
        files: &'a ServerFiles,
    ) -> Result<Option<(&'a PathBuf, rustls::RootCertStore)>, TlsError> {
        match (&files.client_ca, &self.client_ca) {
            (Some(path), Some(pem)) if files.clients != ClientCertificates::Off => {
                Ok(Some((path, files::roots(path, pem)?)))
            }
            _ => Ok(None),
        }
    }
}

fn validity(certificate: &[u8]) -> Result<Validity, String> {
    let (_, certificate) =
        parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    let validity = certificate.validity();
    Ok(Validity { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() })
}

#[cfg(all(test, feature = "development"))]
mod tests {
    use std::fs;

    use super::*;
    use crate::development::Authority;

    fn pair(directory: &tempfile::TempDir, names: &[&str]) -> (Vec<u8>, Vec<u8>) {
        let authority = Authority::open(directory.path()).unwrap();
        let issued = authority.server(names).unwrap();
        (issued.certificate.into_bytes(), issued.key.into_bytes())
    }

    fn files(directory: &tempfile::TempDir) -> ServerFiles {
        ServerFiles {
            certificate: directory.path().join("server.pem"),
            key: directory.path().join("server.key"),
            client_ca: None,
            clients: ClientCertificates::Off,
        }
    }

    #[test]
    fn a_pair_is_taken_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(&directory);
        let (certificate, key) = pair(&directory, &["localhost"]);
        fs::write(&files.certificate, &certificate).unwrap();
        fs::write(&files.key, &key).unwrap();
        let tls = ServerTls::load(files.clone()).unwrap();
        let first = tls.config();
        assert!(!tls.look().unwrap());

        // The new certificate is there and its key is not yet: said once.
        let (new_certificate, new_key) = pair(&directory, &["localhost"]);
        fs::write(&files.certificate, &new_certificate).unwrap();
        let error = tls.look().unwrap_err().to_string();
        assert!(error.contains("server.key") && error.contains("its own key"), "{error}");
        assert!(!tls.look().unwrap());
        assert!(Arc::ptr_eq(&tls.config(), &first));

        // Half of it is written.
        fs::write(&files.certificate, &new_certificate[..new_certificate.len() / 2]).unwrap();
        tls.look().unwrap_err();
        fs::remove_file(&files.certificate).unwrap();
        let error = tls.look().unwrap_err().to_string();
        assert!(error.starts_with("cannot read"), "{error}");
        assert!(!tls.look().unwrap());

        fs::write(&files.certificate, &new_certificate).unwrap();
        fs::write(&files.key, &new_key).unwrap();
        assert!(tls.look().unwrap());
        assert!(!Arc::ptr_eq(&tls.config(), &first));
        assert_eq!((tls.exchanged(), tls.refused()), (1, 3));
    }

    #[test]
    fn what_is_no_certificate_or_no_key_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(&directory);
        let load = || ServerTls::load(files.clone()).unwrap_err().to_string();
        assert!(load().starts_with("cannot read"), "{}", load());
        let (certificate, key) = pair(&directory, &["localhost"]);
        fs::write(&files.certificate, &key).unwrap();
        fs::write(&files.key, &certificate).unwrap();
        assert!(load().contains("has no certificate"), "{}", load());
        fs::write(&files.certificate, &certificate).unwrap();
        assert!(load().contains("has no private key"), "{}", load());
        fs::write(&files.key, vec![b'-'; stockd_model::limits::CERTIFICATE_FILE_BYTES_MAX + 1])
            .unwrap();
        assert!(load().contains("the limit of a file of certificates"), "{}", load());
    }

    #[test]
    fn the_end_of_a_certificate_is_seen_coming() {
        let validity = Validity { from: 0, until: 40 * 86_400 };
        let at = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400);
        assert_eq!(validity.left(at(39)), Duration::from_secs(86_400));
        assert_eq!(validity.left(at(41)), Duration::ZERO);
        assert!(!validity.ends_soon(at(18)));
        assert!(validity.ends_soon(at(19)) && validity.ends_soon(at(90)));
    }
}
