//! The page docs/line-protocol.md tells the truth: its conversations are held here.

use std::path::Path;

use crate::market::Market;

/// Every block of the page that has lines with `→` (bytes sent) and `←` (bytes received) is one
/// connection.
#[test]
fn the_conversations_on_the_page_happen_as_written() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/line-protocol.md");
    let page = std::fs::read_to_string(page).unwrap();
    let market = Market::open(1);
    let mut exchanges = 0;
    for block in page.split("```") {
        if !block.lines().any(|line| line.starts_with('→')) {
            continue;
        }
        let mut client = market.client();
        for line in block.lines() {
            if let Some(sent) = line.strip_prefix("→ ") {
                client.send(bytes(sent));
            } else if let Some(received) = line.strip_prefix("← ") {
                client.expect(bytes(received));
                exchanges += 1;
            }
        }
        client.end();
        assert_eq!(client.rest(), "", "{block}");
    }
    assert!(exchanges > 0, "no conversation on the page");
}

/// The bytes that a line of the page stands for: `\n`, `\r`, `\xff` and plain text.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(hex) = rest.strip_prefix("\\x") {
            bytes.push(u8::from_str_radix(&hex[..2], 16).unwrap());
            rest = &hex[2..];
        } else if let Some(after) = rest.strip_prefix("\\n") {
            bytes.push(b'\n');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("\\r") {
            bytes.push(b'\r');
            rest = after;
        } else {
            let after = &rest[character.len_utf8()..];
            bytes.extend_from_slice(&rest.as_bytes()[..character.len_utf8()]);
            rest = after;
        }
    }
    bytes
}
