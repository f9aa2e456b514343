//! Who asks over HTTP: the host that is named, and what is shown.
//!
//! Invariant: the token is in no `Debug` output.

use std::fmt;

use stockd_client::Credentials;

/// What the head of every request over HTTP says.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The host, as the server knows itself, and its port.
    pub host: String,
    /// The value of `Authorization`; without it nothing is shown.
    pub authorization: Option<String>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Caller {
    /// A client that names this host, and shows these credentials: a token, or a user with it (Basic).
    pub fn new(host: &str, credentials: Option<&Credentials>) -> Caller {
        let command = credentials.map(Credentials::command).unwrap_or_default();
        let authorization = match command[..] {
            [_, token] => Some(format!("Bearer {}", String::from_utf8_lossy(token))),
            #[cfg(feature = "web")]
            [_, user, token] => {
                let pair = [user, b":", token].concat();
                Some(format!("Basic {}", data_encoding::BASE64.encode(&pair)))
            }
            _ => None,
        };
        Caller { host: host.to_owned(), authorization }
    }

    /// Appends the headers, each with its line end.
    pub(crate) fn headers(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("Host: {}\r\n", self.host).as_bytes());
        if let Some(authorization) = &self.authorization {
            out.extend_from_slice(format!("Authorization: {authorization}\r\n").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_alone_or_with_its_user() {
        let shown = |credentials: Option<Credentials>| {
            let mut out = Vec::new();
            Caller::new("localhost:1", credentials.as_ref()).headers(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(None), "Host: localhost:1\r\n");
        let token = Credentials::token("stk_x");
        assert!(shown(Some(token.clone())).ends_with("\r\nAuthorization: Bearer stk_x\r\n"));
        #[cfg(feature = "web")]
        assert!(shown(Some(token.of_user("feed"))).ends_with(" Basic ZmVlZDpzdGtfeA==\r\n"));
    }
}
