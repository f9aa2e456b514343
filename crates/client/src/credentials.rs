//! What a client shows to be let in.

use std::fmt;

/// A token, and perhaps the user whose it is. `Debug` does not show the token.
///
/// ```no_run
/// use stockd_client::{Credentials, Options, QuoteClient};
///
/// let token = std::fs::read_to_string("feed.token")?;
/// let options = Options { credentials: Some(Credentials::token(token.trim())), ..Options::default() };
/// let mut client = QuoteClient::connect_with("tls:stocks.example.org:7879", options)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: Option<String>,
    token: String,
}

impl Credentials {
    /// This token, of any user.
    pub fn token(token: impl Into<String>) -> Credentials {
        Credentials { user: None, token: token.into() }
    }

    /// The same, and the server is to check that it is this user's.
    #[must_use]
    pub fn of_user(self, user: impl Into<String>) -> Credentials {
        Credentials { user: Some(user.into()), ..self }
    }

    /// Whose token it is, if that is to be checked.
    #[cfg(feature = "async")]
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The token.
    #[cfg(feature = "async")]
    pub(crate) fn secret(&self) -> &str {
        &self.token
    }

    /// The command that shows them.
    pub fn command(&self) -> Vec<&[u8]> {
        let user = self.user.iter().map(String::as_bytes);
        [&b"AUTH"[..]].into_iter().chain(user).chain([self.token.as_bytes()]).collect()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_and_never_shown() {
        let alone = Credentials::token("stk_secret");
        assert_eq!(alone.command(), [&b"AUTH"[..], b"stk_secret"]);
        let named = alone.clone().of_user("feed");
        assert_eq!(named.command(), [&b"AUTH"[..], b"feed", b"stk_secret"]);
        assert!(!format!("{alone:?} {named:?}").contains("secret"));
    }
}
