//! The bytes of a file as text: uncompressed, decoded, and with a look at how they begin.
//!
//! Knows nothing of rows. Compression and UTF-16 are seen from the first bytes, whatever the name is, so a
//! pipe is as good as a file.
//!
//! Invariant: what comes out is what stands in the file, or an error: no character is replaced by another.

use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;
use stockd_model::limits::CATALOG_SAMPLE_BYTES;

use crate::compression::{GZIP, ZSTD, is_zstd_to_pass_over};
use crate::interruption::Stopping;
use crate::progress;
use crate::stoppable_file::StoppableFile;

/// Bytes whose beginning was looked at.
type Peeked = Chain<Cursor<Vec<u8>>, Box<dyn Read>>;

/// Text whose beginning was looked at.
pub(crate) type Text = BufReader<Peeked>;

/// A file that is open, as text.
pub(crate) struct Input {
    pub(crate) text: Text,
    /// How the text begins: all of it, or [`CATALOG_SAMPLE_BYTES`]; or whole lines, where more are not there yet.
    pub(crate) sample: Vec<u8>,
    /// How far it was read.
    pub(crate) progress: ProgressBar,
}

/// A file of at least this size in bytes, compressed or not, gets a progress bar.
const PROGRESS_BYTES_MIN: u64 = 8 * 1024 * 1024;

/// How long rows wait for others to be looked at with them, where these come slowly.
const SAMPLE_PATIENCE: Duration = Duration::from_secs(1);

impl Input {
    /// Opens the file, or standard input, with the encoding that was said, if one was.
    pub(crate) fn open(
        path: Option<&Path>,
        encoding: Option<&'static Encoding>,
    ) -> io::Result<Input> {
        let (bytes, progress): (Box<dyn Read>, _) = match path {
            None => (Box::new(io::stdin().lock()), ProgressBar::hidden()),
            Some(path) => {
                let file = File::open(path)?;
                let metadata = file.metadata()?;
                if metadata.is_dir() {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                let progress = bar(path, metadata.len());
                (Box::new(progress.wrap_read(file)), progress)
            }
        };
        let text = text(bytes, path, encoding)?;
        let (sample, rest) = peek(text, CATALOG_SAMPLE_BYTES)?;
        Ok(Input::of(sample, rest, progress))
    }

    /// The same, for rows that count as they come: those that a pipe has brought are not kept waiting for the whole sample.
    /// Once the command is to stop, reading is an error.
    pub(crate) fn open_as_it_comes(
        path: Option<&Path>,
        encoding: Option<&'static Encoding>,
        stopping: &Stopping,
    ) -> io::Result<Input> {
        let file = StoppableFile::open(path, stopping)?;
        let size = file.size()?;
        let progress = match (path, size) {
            (Some(path), Some(bytes)) => bar(path, bytes),
            _ => ProgressBar::hidden(),
        };
        let text = text(Box::new(progress.wrap_read(file.clone())), path, encoding)?;
        let (sample, rest) = match size {
            Some(_) => peek(text, CATALOG_SAMPLE_BYTES)?,
            None => what_has_come(text, &file)?,
        };
        Ok(Input::of(sample, rest, progress))
    }

    fn of(sample: Vec<u8>, rest: Peeked, progress: ProgressBar) -> Input {
        Input { text: BufReader::with_capacity(64 * 1024, rest), sample, progress }
    }
}

/// A bar for reading a file of this size.
fn bar(path: &Path, bytes: u64) -> ProgressBar {
    match bytes {
        ..PROGRESS_BYTES_MIN => ProgressBar::hidden(),
        bytes => progress::bar(bytes, "{msg} {bar:40} {bytes}/{total_bytes}")
            .with_message(format!("reading {}", path.display())),
    }
}

/// The bytes of a file as text: uncompressed and decoded.
fn text(
    bytes: Box<dyn Read>,
    path: Option<&Path>,
    encoding: Option<&'static Encoding>,
) -> io::Result<Box<dyn Read>> {
    let (start, bytes) = peek(bytes, GZIP.len())?;
    let named_gzip = path.is_some_and(|path| {
        path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"))
    });
    let bytes: Box<dyn Read> = match start == GZIP || named_gzip {
        true => Box::new(MultiGzDecoder::new(bytes)),
        false => Box::new(bytes),
    };
    let (start, bytes) = peek(bytes, 4)?;
    refuse_binary(&start)?;
    Ok(match encoding.or_else(|| encoding_of(&start)) {
        // Symbols are checked, and nothing else may be other than ASCII.
        None => Box::new(bytes),
        Some(encoding) if encoding == UTF_8 => Box::new(bytes),
        Some(encoding) => Box::new(Decoded::new(bytes, encoding)),
    })
}

/// The first bytes, at most this many, and all bytes.
fn peek(mut bytes: Box<dyn Read>, len: usize) -> io::Result<(Vec<u8>, Peeked)> {
    let mut start = Vec::new();
    bytes.by_ref().take(len as u64).read_to_end(&mut start)?;
    let all = Cursor::new(start.clone()).chain(bytes);
    Ok((start, all))
}

/// A sample and all bytes; a sample of whole lines where no more of them are there: a header and a row, at least.
fn what_has_come(mut text: Box<dyn Read>, file: &StoppableFile) -> io::Result<(Vec<u8>, Peeked)> {
    let mut sample = Vec::new();
    let mut room = vec![0; CATALOG_SAMPLE_BYTES];
    let mut begun = None;
    loop {
        let left = CATALOG_SAMPLE_BYTES - sample.len();
        let read = read_once(&mut text, &mut room[..left])?;
        sample.extend_from_slice(&room[..read]);
        if read == 0 || read == left {
            return Ok((sample.clone(), Cursor::new(sample).chain(text)));
        }
        let begun = begun.get_or_insert_with(Instant::now);
        let has_row = memchr::memchr_iter(b'\n', &sample).nth(1).is_some();
        if has_row && (begun.elapsed() >= SAMPLE_PATIENCE || file.is_quiet()?) {
            let lines = memchr::memrchr(b'\n', &sample).map_or(0, |at| at + 1);
            return Ok((sample[..lines].to_vec(), Cursor::new(sample).chain(text)));
        }
    }
}

/// What one read has of the bytes, which is nothing only at the end.
fn read_once(bytes: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match bytes.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// UTF-16 by its byte order mark, or by the zero that one of the first two bytes is.
fn encoding_of(start: &[u8]) -> Option<&'static Encoding> {
    match *start {
        [0xff, 0xfe, ..] => Some(UTF_16LE),
        [0xfe, 0xff, ..] => Some(UTF_16BE),
        [first, 0, ..] if first != 0 => Some(UTF_16LE),
        [0, second, ..] if second != 0 => Some(UTF_16BE),
        _ => None,
    }
}

/// Says what to do with files that are no text.
fn refuse_binary(start: &[u8]) -> io::Result<()> {
    let why = match start {
        b"PK\x03\x04" => "it is a spreadsheet or a zip archive; save it as CSV",
        b"\xd0\xcf\x11\xe0" => "it is a spreadsheet; save it as CSV",
        b"PAR1" => "it is Parquet; write it as CSV or JSON lines",
        b"%PDF" => "it is a PDF; save what is in it as CSV",
        _ if start == ZSTD || is_zstd_to_pass_over(start) => {
            "it is compressed with zstd; pipe it through 'zstd -dc' into '-'"
        }
        [b'B', b'Z', b'h', ..] => {
            "it is compressed with bzip2; pipe it through 'bzip2 -dc' into '-'"
        }
        [0xfd, b'7', b'z', b'X'] => "it is compressed with xz; pipe it through 'xz -dc' into '-'",
        _ if encoding_of(start).is_none() && start.iter().any(is_in_no_text) => {
            "it is no text; a catalog is CSV, JSON lines or a JSON array"
        }
        _ => return Ok(()),
    };
    Err(io::Error::new(io::ErrorKind::InvalidData, why))
}

fn is_in_no_text(byte: &u8) -> bool {
    byte.is_ascii_control() && !byte.is_ascii_whitespace()
}

/// Text of another encoding, as UTF-8.
struct Decoded<R> {
    inner: R,
    encoding: &'static Encoding,
    decoder: Decoder,
    bytes: Vec<u8>,
    text: Vec<u8>,
    /// How much of the text was handed on.
    taken: usize,
    ended: bool,
}

const DECODED_BYTES: usize = 16 * 1024;

impl<R: Read> Decoded<R> {
    fn new(inner: R, encoding: &'static Encoding) -> Decoded<R> {
        let decoder = encoding.new_decoder_with_bom_removal();
        Decoded {
            inner,
            encoding,
            decoder,
            bytes: Vec::new(),
            text: Vec::new(),
            taken: 0,
            ended: false,
        }
    }

    /// Decodes the next bytes.
    fn fill(&mut self) -> io::Result<()> {
        self.bytes.resize(DECODED_BYTES, 0);
        let read = read_once(&mut self.inner, &mut self.bytes)?;
        self.bytes.truncate(read);
        self.ended = read == 0;
        let room = self.decoder.max_utf8_buffer_length_without_replacement(read);
        self.text.resize(room.unwrap_or(4 * DECODED_BYTES), 0);
        let (result, _, written) = self.decoder.decode_to_utf8_without_replacement(
            &self.bytes,
            &mut self.text,
            self.ended,
        );
        self.text.truncate(written);
        self.taken = 0;
        match result {
            DecoderResult::InputEmpty => Ok(()),
            DecoderResult::OutputFull | DecoderResult::Malformed(..) => {
                let name = self.encoding.name();
                let why = format!("it is not {name}; say its encoding with --encoding");
                Err(io::Error::new(io::ErrorKind::InvalidData, why))
            }
        }
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.text.len() && !self.ended {
            self.fill()?;
        }
        let left = self.text.get(self.taken..).unwrap_or_default();
        let len = left.len().min(room.len());
        room[..len].copy_from_slice(&left[..len]);
        self.taken += len;
        Ok(len)
    }
}
