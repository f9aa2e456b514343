//! How a command speaks TLS with a server.

use std::path::PathBuf;

use stockd_client::{ClientFiles, ClientTls, Options};

/// Whom to believe at an address with `tls:`, and what to show there.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsFlags {
    /// Believe certificates from the authorities in this file (PEM), where the address of the server
    /// begins with tls: [default: those that the system trusts].
    #[arg(long, value_name = "FILE", env = "STOCKD_TLS_CA", hide_env_values = true)]
    tls_ca: Option<PathBuf>,

    /// Show this certificate (PEM), with its key in --tls-key.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl TlsFlags {
    /// How TLS is spoken; `None` as long as nothing was said of it.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is none of its kind.
    pub(crate) fn load(&self) -> anyhow::Result<Option<ClientTls>> {
        let TlsFlags { tls_ca: ca, tls_cert: certificate, tls_key: key } = self;
        if ca.is_none() && certificate.is_none() {
            return Ok(None);
        }
        let files =
            ClientFiles { ca: ca.clone(), certificate: certificate.clone(), key: key.clone() };
        Ok(Some(ClientTls::load(&files)?))
    }

    /// The options of a client.
    ///
    /// # Errors
    ///
    /// As [`load`](TlsFlags::load).
    pub(crate) fn options(&self) -> anyhow::Result<Options> {
        Ok(Options { tls: self.load()?, ..Options::default() })
    }
}
