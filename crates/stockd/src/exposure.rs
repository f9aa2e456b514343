//! Nothing is exposed by accident.
//!
//! A listener is *exposed* where others than the users of this machine can reach it. One that protects
//! nothing, or has tokens sent in plain text, stops the start unless the settings insist.
//!
//! Invariant: an exposed listener is protected, or its protocol is among those that were named insecure on
//! purpose.

use stockd_model::Address;
use stockd_server::{Endpoint, Protocol, Transport};

use crate::settings::Insecure;
use crate::usage_error::UsageError;

/// Checks where a server is to listen. Returns what is exposed although it is not protected, as
/// warnings.
///
/// # Errors
///
/// What would be exposed by accident, and what to do instead.
pub(crate) fn check(
    endpoints: &[Endpoint],
    has_access_file: bool,
    insecure: &Insecure,
) -> Result<Vec<String>, UsageError> {
    let mut warnings = Vec::new();
    for endpoint in endpoints.iter().filter(|endpoint| is_exposed(&endpoint.address)) {
        let Endpoint { protocol, address, .. } = endpoint;
        let is_plain = endpoint.transport == Transport::Plain;
        let (danger, remedy) = match (has_access_file, protocol, is_plain) {
            (false, ..) => (
                "anybody who reaches it may read and change everything",
                "name an access file with --access FILE ('stockd token new USER' begins one)",
            ),
            (true, Protocol::Resp, true) => (
                "tokens travel over it in plain text",
                "use tls: and a certificate (--tls-cert, --tls-key)",
            ),
            _ => continue,
        };
        if !insecure.has(*protocol) {
            return Err(UsageError(format!(
                "{protocol} {address} is not only for this machine, and {danger}: {remedy}, or listen on \
                 127.0.0.1 or unix:PATH, or insist with --insecure={protocol}"
            )));
        }
        warnings.push(format!("{protocol} {address} is insecure: {danger}"));
    }
    Ok(warnings)
}

/// Whether others than the users of this machine can reach an address.
fn is_exposed(address: &Address) -> bool {
    address.tcp().is_some_and(|address| !address.ip().to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(
        protocol: Protocol,
        address: &str,
        access: bool,
        insecure: &str,
    ) -> Result<usize, String> {
        let address: Address = address.parse().unwrap();
        let endpoint = Endpoint { address, ..Endpoint::plain(protocol, ([127, 0, 0, 1], 1)) };
        let insecure = insecure.parse().unwrap();
        check(&[endpoint], access, &insecure)
            .map(|warnings| warnings.len())
            .map_err(|UsageError(why)| why)
    }

    /// Every cell of the table of docs/security.md, for plain listeners.
    #[test]
    fn a_listener_that_others_reach_is_protected_or_insisted_on() {
        use Protocol::{Line, Resp};
        for address in
            ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/run/s"]
        {
            for access in [false, true] {
                for protocol in [Line, Resp] {
                    assert_eq!(checked(protocol, address, access, "false"), Ok(0), "{address}");
                }
            }
        }
        for address in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1"] {
            for protocol in [Line, Resp] {
                let why = checked(protocol, address, false, "false").unwrap_err();
                assert!(why.contains("--access FILE") && why.contains("--insecure="), "{why}");
                for insecure in ["true", protocol.as_str(), "line,resp"] {
                    assert_eq!(checked(protocol, address, false, insecure), Ok(1));
                }
            }
            assert_eq!(checked(Line, address, true, "false"), Ok(0));
            assert!(checked(Resp, address, true, "false").unwrap_err().contains("use tls:"));
            assert!(checked(Resp, address, true, "line").is_err());
            assert_eq!(checked(Resp, address, true, "resp"), Ok(1));
        }
    }
}
