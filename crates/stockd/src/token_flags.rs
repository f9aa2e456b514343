//! How a command shows who it is.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use stockd_access::Token;
use stockd_client::Credentials;

/// The token to show, and whose it is.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Token")]
pub(crate) struct TokenFlags {
    /// Show the token in this file, as 'stockd token new' made it.
    #[arg(long, value_name = "FILE", env = "STOCKD_TOKEN_FILE", hide_env_values = true)]
    token_file: Option<PathBuf>,

    /// Have the server check that the token is this user's.
    #[arg(long, value_name = "NAME", requires = "token_file")]
    user: Option<String>,
}

impl TokenFlags {
    /// What to show; `None` where no token was given.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or holds no token.
    pub(crate) fn load(&self) -> anyhow::Result<Option<Credentials>> {
        let Some(path) = &self.token_file else {
            return Ok(None);
        };
        let name = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("token file {name}"))?;
        let token: Token = text.parse().with_context(|| format!("token file {name}"))?;
        let credentials = Credentials::token(token.as_str());
        Ok(Some(match &self.user {
            Some(user) => credentials.of_user(user),
            None => credentials,
        }))
    }
}
