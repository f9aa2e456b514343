//! Which process serves a connection, where it is one of this machine.
//!
//! Linux tells it: of a Unix socket to the one that is connected, of TCP by the sockets that listen
//! (proc(5), `net/tcp`) and the files of processes. Elsewhere, and where the system hides it, it is not
//! known, and nothing is concluded then.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use stockd_client::Stream;

/// Where the server of a connection runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serving {
    /// In this process of this machine.
    Process(u32),
    /// On this machine, but it is not known where.
    Here,
    /// On another machine.
    Elsewhere,
}

impl Serving {
    pub(crate) fn of(stream: &Stream) -> Serving {
        let process = match stream.ends() {
            // From one address of the loopback another is reached.
            Some((own, server)) if own.ip() != server.ip() && !server.ip().is_loopback() => {
                return Serving::Elsewhere;
            }
            Some((_, server)) => listener(server).and_then(owner),
            None => stream.peer_process(),
        };
        process.map_or(Serving::Here, Serving::Process)
    }
}

/// The number that the system gives to the socket that listens at an address.
fn listener(at: SocketAddr) -> Option<u64> {
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        table.lines().skip(1).find_map(|line| listening(line, at))
    })
}

/// The number of the socket of this line, if it listens at the address.
fn listening(line: &str, at: SocketAddr) -> Option<u64> {
    /// The state of a socket that listens.
    const LISTENS: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, local, _, LISTENS, _, _, _, _, _, number, ..] = fields.as_slice() else {
        return None;
    };
    let (ip, port) = local.rsplit_once(':')?;
    let ip = address(ip)?;
    let fits = ip.is_unspecified() || ip == at.ip().to_canonical();
    (fits && u16::from_str_radix(port, 16) == Ok(at.port())).then(|| number.parse().ok())?
}

/// An address as the table has it: words of 32 bits, each in the order of the processor's bytes.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        Some(u32::from_be_bytes(word.to_ne_bytes()))
    };
    Some(match hex.len() {
        8 => IpAddr::V4(Ipv4Addr::from_bits(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bits = words.into_iter().fold(0, |bits, word| bits << 32 | u128::from(word));
            IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical()
        }
        _ => return None,
    })
}

/// The process that has a socket open.
fn owner(socket: u64) -> Option<u32> {
    let link = format!("socket:[{socket}]");
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut numbered = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbered.find(|pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
        let mut links = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        links.any(|file| file.to_str() == Some(&link))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_system_writes_them() {
        let line = "   0: 0100007F:1EC6 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1";
        let any = line.replace("0100007F", "00000000");
        let six = line.replace("0100007F", "00000000000000000000000001000000");
        let mapped = line.replace("0100007F", "0000000000000000FFFF00000100007F");
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        if cfg!(target_endian = "little") {
            for line in [line, &any, &mapped] {
                assert_eq!(listening(line, at("127.0.0.1:7878")), Some(4242), "{line}");
            }
            assert_eq!(listening(&six, at("[::1]:7878")), Some(4242));
            assert_eq!(listening(&six, at("127.0.0.1:7878")), None);
        }
        assert_eq!(listening(line, at("127.0.0.1:7879")), None);
        assert_eq!(listening(line, at("127.0.0.2:7878")), None);
        assert_eq!(listening(&line.replace(" 0A ", " 01 "), at("127.0.0.1:7878")), None);
        for rubbish in ["", "a b c 0A e f g h i j", "0: 01:02 x 0A 1 2 3 4 5 6"] {
            assert_eq!(listening(rubbish, at("127.0.0.1:7878")), None, "{rubbish}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_that_listens_is_found() {
        use stockd_model::limits::LOAD_PATIENCE;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let bind = |address: &str| std::net::TcpListener::bind(address).unwrap();
        let (tcp, other) = (bind("127.0.0.1:0"), bind("127.0.0.2:0"));
        let address = tcp.local_addr().unwrap();
        let other = other.local_addr().unwrap();
        for address in [format!("unix:{}", path.display()), address.to_string(), other.to_string()]
        {
            let stream = Stream::connect(&address.parse().unwrap(), LOAD_PATIENCE).unwrap();
            assert_eq!(Serving::of(&stream), Serving::Process(std::process::id()), "{address}");
        }
        drop(tcp);
        assert_eq!(listener(address), None);
    }
}
