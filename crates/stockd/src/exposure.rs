//! Nothing is exposed by accident.
//!
//! A listener is *exposed* where others than the users of this machine can reach it. One that protects
//! nothing, or has tokens sent in plain text, stops the start unless the settings insist.
//!
//! Invariant: an exposed listener is protected, or its protocol is among those that were named insecure on
//! purpose.

use stockd_model::Address;

use crate::settings::{Insecure, Settings};
use crate::usage_error::UsageError;

/// Checks where a server is to listen. Returns what is exposed although it is not protected, as
/// warnings.
///
/// # Errors
///
/// What would be exposed by accident, and what to do instead.
pub(crate) fn check(
    listeners: &[(&'static str, &Address)],
    has_access_file: bool,
    insecure: &Insecure,
) -> Result<Vec<String>, UsageError> {
    let mut warnings = Vec::new();
    for (protocol, address) in listeners.iter().filter(|(_, address)| is_exposed(address)) {
        let is_plain = !matches!(address, Address::Tls { .. });
        let (danger, remedy) = match (has_access_file, *protocol, is_plain) {
            (false, ..) => (
                "anybody who reaches it may read and change everything",
                "name an access file with --access FILE ('stockd token new USER' begins one)",
            ),
            (true, "resp" | "http" | "grpc", true) => (
                "tokens travel over it in plain text",
                "use tls: and a certificate (--tls-cert, --tls-key)",
            ),
            _ => continue,
        };
        if !insecure.has(protocol) {
            return Err(UsageError(format!(
                "{protocol} {address} is not only for this machine, and {danger}: {remedy}, or listen on \
                 127.0.0.1 or unix:PATH, or insist with --insecure={protocol}"
            )));
        }
        warnings.push(format!("{protocol} {address} is insecure: {danger}"));
    }
    Ok(warnings)
}

/// Every place where a server with these settings listens: what is spoken there, and its address.
pub(crate) fn listeners(settings: &Settings) -> Vec<(&'static str, &Address)> {
    let Settings { line, resp, http, grpc, .. } = settings;
    let each = [("line", line), ("resp", resp), ("http", http), ("grpc", grpc)];
    each.into_iter()
        .flat_map(|(name, addresses)| addresses.iter().map(move |it| (name, it)))
        .collect()
}

/// Whether others than the users of this machine can reach an address.
fn is_exposed(address: &Address) -> bool {
    address.tcp().is_some_and(|address| !address.ip().to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(
        protocol: &'static str,
        address: &str,
        access: bool,
        insecure: &str,
    ) -> Result<usize, String> {
        let address: Address = address.parse().unwrap();
        let insecure = insecure.parse().unwrap();
        check(&[(protocol, &address)], access, &insecure)
            .map(|warnings| warnings.len())
            .map_err(|UsageError(why)| why)
    }

    /// Every cell of the table of docs/security.md, for plain listeners.
    #[test]
    fn a_listener_that_others_reach_is_protected_or_insisted_on() {
        const ALL: [&str; 4] = ["line", "resp", "http", "grpc"];
        for address in
            ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/run/s"]
        {
            for access in [false, true] {
                for protocol in ALL {
                    assert_eq!(checked(protocol, address, access, "false"), Ok(0), "{address}");
                }
            }
        }
        for address in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1"] {
            for protocol in ALL {
                let why = checked(protocol, address, false, "false").unwrap_err();
                assert!(why.contains("--access FILE") && why.contains("--insecure="), "{why}");
                for insecure in ["true", protocol, "line,resp,http,grpc"] {
                    assert_eq!(checked(protocol, address, false, insecure), Ok(1));
                }
            }
            assert_eq!(checked("line", address, true, "false"), Ok(0));
            for protocol in ["resp", "http", "grpc"] {
                assert!(
                    checked(protocol, address, true, "false").unwrap_err().contains("use tls:")
                );
                assert!(checked(protocol, address, true, "line").is_err());
                assert_eq!(checked(protocol, address, true, protocol), Ok(1));
                let tls = format!("tls:{address}");
                assert_eq!(checked(protocol, &tls, true, "false"), Ok(0));
                assert!(checked(protocol, &tls, false, "false").is_err());
            }
        }
    }
}
