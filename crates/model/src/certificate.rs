//! The names by which a client's certificate is known.
//!
//! Whether a certificate is good is for the transport to find out; here is which names in it may stand
//! for a user, and how an access file writes them.

use std::fmt;
use std::str::FromStr;

/// One name of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CertificateName {
    /// The common name of its subject: `CN=desk-7`.
    Common(String),
    /// A DNS name among its alternative names: `DNS:desk-7.example.org`. In small letters.
    Dns(String),
    /// A URI among its alternative names: `URI:spiffe://example.org/desk`.
    Uri(String),
}

/// A text is no name of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a certificate is named CN=…, DNS:… or URI:…, as in CN=desk-7")]
pub struct NoCertificateName;

impl CertificateName {
    /// The DNS name of this text, in any case.
    pub fn dns(name: &str) -> CertificateName {
        CertificateName::Dns(name.to_ascii_lowercase())
    }
}

impl FromStr for CertificateName {
    type Err = NoCertificateName;

    fn from_str(text: &str) -> Result<CertificateName, NoCertificateName> {
        let name = if let Some(name) = text.strip_prefix("CN=") {
            CertificateName::Common(name.to_owned())
        } else if let Some(name) = text.strip_prefix("DNS:") {
            CertificateName::dns(name)
        } else if let Some(name) = text.strip_prefix("URI:") {
            CertificateName::Uri(name.to_owned())
        } else {
            return Err(NoCertificateName);
        };
        let (CertificateName::Common(text)
        | CertificateName::Dns(text)
        | CertificateName::Uri(text)) = &name;
        let is_possible = !text.is_empty() && !text.chars().any(char::is_control);
        if is_possible { Ok(name) } else { Err(NoCertificateName) }
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateName::Common(name) => write!(f, "CN={name}"),
            CertificateName::Dns(name) => write!(f, "DNS:{name}"),
            CertificateName::Uri(name) => write!(f, "URI:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in ["CN=desk-7", "DNS:desk.example.org", "URI:spiffe://example.org/desk"] {
            assert_eq!(text.parse::<CertificateName>().unwrap().to_string(), text);
        }
        assert_eq!("DNS:Desk.Example".parse(), Ok(CertificateName::Dns("desk.example".into())));
        for text in ["", "desk", "CN=", "DNS:", "URI:", "cn=desk", "CN=a\nb"] {
            assert_eq!(text.parse::<CertificateName>(), Err(NoCertificateName), "{text:?}");
        }
    }
}
