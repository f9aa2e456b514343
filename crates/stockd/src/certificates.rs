//! The server's certificate: taken from the files that the settings name, and looked at again while it
//! runs.
//!
//! Invariant: what happens to the certificate in use is in the log, and its key never is.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use stockd_model::limits::CERTIFICATE_SAY_INTERVAL;
use stockd_tls::{ClientCertificates, ServerFiles, ServerTls};
use tracing::{info, warn};

use crate::settings::Settings;
use crate::usage_error::UsageError;

/// Seconds in a day.
const DAY: u64 = 24 * 60 * 60;

/// The certificate of a server.
#[derive(Debug)]
pub(crate) struct Certificates {
    tls: Arc<ServerTls>,
    /// When its end was last spoken of.
    said_at: Option<Instant>,
}

impl Certificates {
    /// The certificate that the settings name; `None` where they name none.
    ///
    /// # Errors
    ///
    /// When the settings do not go together, or the files cannot be used.
    pub(crate) fn load(settings: &Settings) -> Result<Option<Certificates>, UsageError> {
        let files = match (&settings.tls_cert, &settings.tls_key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => ServerFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: settings.tls_client_ca.clone(),
                clients: settings.tls_clients,
            },
            _ => {
                let why = "tls_cert and tls_key go together: name the certificate and its key";
                return Err(UsageError(why.to_owned()));
            }
        };
        if files.client_ca.is_none() && files.clients != ClientCertificates::Off {
            let why = "tls_clients asks clients for certificates, and tls_client_ca does not say whose: \
                       name the file of their authority";
            return Err(UsageError(why.to_owned()));
        }
        let key = files.key.clone();
        let tls = ServerTls::load(files).map_err(|error| UsageError(error.to_string()))?;
        warn_of_open_key(&key);
        let mut certificates = Certificates { tls: Arc::new(tls), said_at: None };
        certificates.say_end();
        Ok(Some(certificates))
    }

    pub(crate) fn tls(&self) -> &Arc<ServerTls> {
        &self.tls
    }

    /// Looks whether the files have changed, and takes what is in them.
    pub(crate) fn look(&mut self) {
        match self.tls.look() {
            Ok(false) => {}
            Ok(true) => {
                info!(days = self.days(), "the certificate was exchanged");
                self.said_at = None;
            }
            Err(error) => warn!("the certificate in use stays: {error}"),
        }
        self.say_end();
    }

    fn days(&self) -> u64 {
        self.tls.validity().left(SystemTime::now()).as_secs() / DAY
    }

    /// Warns, now and then, of a certificate that ends soon.
    fn say_end(&mut self) {
        let is_due = self.said_at.is_none_or(|at| at.elapsed() >= CERTIFICATE_SAY_INTERVAL);
        let left = self.tls.validity().left(SystemTime::now());
        if !is_due || !self.tls.validity().ends_soon(SystemTime::now()) {
            return;
        }
        self.said_at = Some(Instant::now());
        match left > Duration::ZERO {
            true => warn!(
                days = self.days(),
                "the certificate expires soon; put a new one in its place"
            ),
            false => warn!("the certificate has expired; put a new one in its place"),
        }
    }
}

/// Warns of a key that every user of the machine can read.
fn warn_of_open_key(key: &Path) {
    let mode = key.metadata().map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o004 != 0 {
        let key = key.display();
        warn!(
            "every user of this machine can read the key in {key}; take that right away: chmod o-r"
        );
    }
}
