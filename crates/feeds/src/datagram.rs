//! The payload of a UDP datagram in a captured frame.
//!
//! Owns the layers between: Ethernet with any number of VLAN tags, Linux's cooked frames, IPv4 and IPv6 without
//! extensions. A fragment of a datagram is none.

use crate::read::{be16, byte};

/// Link layers of captures, as <https://www.tcpdump.org/linktypes.html> numbers them.
const ETHERNET: u32 = 1;
const RAW: [u32; 3] = [12, 14, 101];
const LINUX_COOKED: u32 = 113;
const LINUX_COOKED_2: u32 = 276;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const UDP: u8 = 17;
const UDP_HEADER_BYTES: usize = 8;

/// The payload of a frame; `None` when it has no whole UDP datagram.
pub(crate) fn payload(link: u32, frame: &[u8]) -> Option<&[u8]> {
    let (mut kind, mut at) = match link {
        ETHERNET => (be16(frame, 12)?, 14),
        LINUX_COOKED => (be16(frame, 14)?, 16),
        LINUX_COOKED_2 => (be16(frame, 0)?, 20),
        _ if RAW.contains(&link) => (if byte(frame, 0)? >> 4 == 6 { IPV6 } else { IPV4 }, 0),
        _ => return None,
    };
    while VLAN.contains(&kind) {
        (kind, at) = (be16(frame, at + 2)?, at + 4);
    }
    let packet = frame.get(at..)?;
    let (protocol, datagram) = match kind {
        IPV4 => {
            let header = usize::from(byte(packet, 0)? & 0x0f) * 4;
            let total = usize::from(be16(packet, 2)?);
            let is_fragment = be16(packet, 6)? & 0x3fff != 0;
            if is_fragment {
                return None;
            }
            // What an interface has put together itself has no length yet.
            let end = if total == 0 { packet.len() } else { total };
            (byte(packet, 9)?, packet.get(header..end)?)
        }
        IPV6 => {
            let end = 40 + usize::from(be16(packet, 4)?);
            (byte(packet, 6)?, packet.get(40..end)?)
        }
        _ => return None,
    };
    let len = usize::from(be16(datagram, 4)?);
    (protocol == UDP).then_some(())?;
    datagram.get(UDP_HEADER_BYTES..len)
}
