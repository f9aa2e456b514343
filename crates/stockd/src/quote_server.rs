//! The server of the commands that read and write whole quotes.

use anyhow::Context;
use stockd_client::{ClientError, Options, QuoteClient};

use crate::tls_flags::TlsFlags;
use crate::token_flags::TokenFlags;

/// The address of a server's RESP listener.
#[derive(Debug, clap::Args)]
pub(crate) struct QuoteServer {
    /// Address of the server's RESP listener: HOST:PORT, tls:HOST:PORT or unix:PATH.
    #[arg(
        long = "server",
        value_name = "ADDR",
        env = "STOCKD_RESP_SERVER",
        hide_env_values = true,
        default_value = "127.0.0.1:7879"
    )]
    address: String,

    #[command(flatten)]
    tls: TlsFlags,

    #[command(flatten)]
    token: TokenFlags,
}

impl QuoteServer {
    /// A connection to the server.
    ///
    /// # Errors
    ///
    /// When there is no connection. The error names the server as it was given.
    pub(crate) fn connect(&self) -> anyhow::Result<QuoteClient> {
        self.open(|address, options| QuoteClient::connect_with(address, options))
    }

    /// Opens something other than a client, with the same errors.
    pub(crate) fn open<T>(
        &self,
        open: impl FnOnce(&str, Options) -> Result<T, ClientError>,
    ) -> anyhow::Result<T> {
        let options = Options { credentials: self.token.load()?, ..self.tls.options()? };
        open(&self.address, options).with_context(|| format!("server '{}'", self.address))
    }
}
