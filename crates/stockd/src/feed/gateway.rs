//! Databento's live gateway: a few lines of text, and then DBN.
//!
//! ```text
//! ◄ lsg_version=…
//! ◄ cram=CHALLENGE
//! ► auth=<SHA-256 of CHALLENGE|KEY, in hex>-<last 5 of KEY>|dataset=…|encoding=dbn|ts_out=0|…
//! ◄ success=1|session_id=…      or  success=0|error=…
//! ► schema=…|stype_in=raw_symbol|symbols=A,B|…|is_last=1      for each schema, in parts
//! ► start_session
//! ◄ metadata, records, …
//! ```
//!
//! Invariant: the key is read from the environment, and is neither logged nor sent.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read, Write};
use std::str::FromStr;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use stockd_client::{Stream, ToAddresses};
use stockd_feeds::{DbnFeed, Decode};

use super::live::{ENTRANCE_TIMEOUT, Incoming, Live, NotConnected, READ_TIMEOUT};
use super::symbols::Symbols;

/// Where a gateway is, and of which dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    dataset: String,
    address: String,
}

/// A gateway, and what is asked of it.
pub(super) struct Gateway {
    pub(super) place: Place,
    pub(super) key: Key,
    pub(super) schemas: Vec<String>,
    pub(super) symbols: Symbols,
    /// How often the gateway is to show that it lives.
    pub(super) heartbeat: Duration,
}

/// The key of an account. It does not show itself.
pub(super) struct Key(String);

/// The environment variable that has the key.
const KEY_VARIABLE: &str = "DATABENTO_API_KEY";

/// Characters at the end of the key by which the gateway finds the account.
const BUCKET_CHARACTERS: usize = 5;

/// Bytes of a line of text, at most.
const LINE_BYTES_MAX: usize = 4096;

/// Symbols that one line asks for.
const SYMBOLS_TOGETHER: usize = 500;

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let form = || format!("'{text}' is no gateway: write lsg:DATASET@HOST:PORT");
        let (dataset, address) = text.split_once('@').ok_or_else(form)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if dataset.is_empty() || !dataset.bytes().all(is_name) || !address.contains(':') {
            return Err(form());
        }
        Ok(Place { dataset: dataset.to_owned(), address: address.to_owned() })
    }
}

impl Key {
    /// The key in the environment.
    pub(super) fn from_environment() -> Result<Key, String> {
        let key = std::env::var(KEY_VARIABLE).unwrap_or_default();
        let is_key = key.len() > BUCKET_CHARACTERS && key.bytes().all(|it| it.is_ascii_graphic());
        match is_key {
            true => Ok(Key(key)),
            false => Err(format!("{KEY_VARIABLE} has no key: set it to that of your account")),
        }
    }

    /// What shows the gateway that one has the key.
    fn response(&self, challenge: &str) -> String {
        let Key(key) = self;
        let digest = Sha256::digest(format!("{challenge}|{key}"));
        let bucket = key.get(key.len() - BUCKET_CHARACTERS..).unwrap_or_default();
        format!("{}-{bucket}", HEXLOWER.encode(&digest))
    }
}

impl Live for Gateway {
    fn connect(&mut self, from_ns: Option<u64>) -> Result<Box<dyn Incoming>, NotConnected> {
        let mut stream = connect(&self.place.address)?;
        self.enter(&mut stream)?;
        let mut text = String::new();
        for schema in &self.schemas {
            for (last, symbols) in self.symbols.parts(SYMBOLS_TOGETHER, "ALL_SYMBOLS") {
                let _ = write!(text, "schema={schema}|stype_in=raw_symbol|symbols={symbols}");
                if let Some(from_ns) = from_ns {
                    let _ = write!(text, "|start={from_ns}");
                }
                let _ = writeln!(text, "|snapshot=0|id=0|is_last={}", u8::from(last));
            }
        }
        text.push_str("start_session\n");
        stream.write_all(text.as_bytes())?;
        stream.set_read_timeout(READ_TIMEOUT)?;
        Ok(Box::new(Bytes(stream)))
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(DbnFeed::new())
    }

    fn resumes(&self) -> bool {
        true
    }
}

impl Gateway {
    /// Answers the challenge of the gateway.
    fn enter(&self, stream: &mut Stream) -> Result<(), NotConnected> {
        let until = Instant::now() + ENTRANCE_TIMEOUT;
        let challenge = loop {
            let line = line(stream, until)?;
            match line.strip_prefix("cram=") {
                Some(challenge) => break challenge.to_owned(),
                None if line.starts_with("lsg_version=") => {}
                None => {
                    return Err(NotConnected::Unreachable(format!("no gateway: it says '{line}'")));
                }
            }
        };
        let Place { dataset, .. } = &self.place;
        let response = self.key.response(&challenge);
        let version = env!("CARGO_PKG_VERSION");
        let heartbeat = self.heartbeat.as_secs();
        let text = format!(
            "auth={response}|dataset={dataset}|encoding=dbn|ts_out=0|heartbeat_interval_s={heartbeat}|client=stockd {version}\n"
        );
        stream.write_all(text.as_bytes())?;
        let line = line(stream, until)?;
        let field = |name: &str| {
            line.split('|').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        match field("success") {
            Some("1") => Ok(()),
            _ => {
                let why = field("error").unwrap_or(&line);
                Err(NotConnected::Refused(format!("the gateway refuses the feed: {why}")))
            }
        }
    }
}

/// Connects to the first of the addresses that answers.
pub(super) fn connect(address: &str) -> io::Result<Stream> {
    let mut failed = io::Error::new(ErrorKind::NotFound, format!("'{address}' has no address"));
    for address in address.to_addresses()? {
        match Stream::connect(&address, ENTRANCE_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The next line, read byte by byte so that nothing behind it is taken.
fn line(stream: &mut Stream, until: Instant) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        if Instant::now() >= until {
            return Err(io::Error::new(ErrorKind::TimedOut, "the gateway does not answer"));
        }
        let mut byte = [0];
        match stream.read(&mut byte)? {
            0 => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the gateway has closed")),
            _ if byte == *b"\n" => return Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            _ if line.len() >= LINE_BYTES_MAX => {
                let why = format!("a line of more than {LINE_BYTES_MAX} bytes");
                return Err(io::Error::new(ErrorKind::InvalidData, why));
            }
            _ => line.extend(byte),
        }
    }
}

/// What comes after the lines of text.
struct Bytes(Stream);

impl Incoming for Bytes {
    fn read(&mut self, room: &mut Vec<u8>) -> io::Result<usize> {
        room.resize(READ_BYTES, 0);
        let read = self.0.read(room);
        room.truncate(*read.as_ref().unwrap_or(&0));
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_answered_as_documented() {
        let key = Key("db-0123456789abcdefghijklmnop12".to_owned());
        let expected =
            HEXLOWER.encode(&Sha256::digest(b"abcdefghijklmnop|db-0123456789abcdefghijklmnop12"));
        assert_eq!(key.response("abcdefghijklmnop"), format!("{expected}-nop12"));
    }

    #[test]
    fn a_gateway_is_a_dataset_and_an_address() {
        let place: Place = "XNAS.ITCH@localhost:13000".parse().unwrap();
        assert_eq!(
            (place.dataset.as_str(), place.address.as_str()),
            ("XNAS.ITCH", "localhost:13000")
        );
        for text in ["", "XNAS.ITCH", "@h:1", "A|B@h:1", "XNAS.ITCH@host"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
