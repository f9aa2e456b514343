//! The bytes of a feed: a file or standard input, uncompressed.
//!
//! Invariant: compression is seen from the first bytes, whatever the name is.

use std::io::{self, BufReader, Chain, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::compression::{GZIP, ZSTD, is_zstd_to_pass_over};
use crate::interruption::Stopping;
use crate::stoppable_file::StoppableFile;

/// A feed that is open.
pub(super) struct Source {
    bytes: Chain<Cursor<Vec<u8>>, Box<dyn Read>>,
    start: Vec<u8>,
}

/// Bytes that tell what a file is.
const START_BYTES: usize = 4;

impl Source {
    /// Opens a file, `-` being standard input. Once the command is to stop, reading from it is an error.
    pub(super) fn open(name: &str, stopping: &Stopping) -> io::Result<Source> {
        let path = (name != "-").then(|| Path::new(name));
        let bytes = StoppableFile::open(path, stopping)?;
        let Source { bytes, start } = Source::peek(Box::new(bytes))?;
        let bytes: Box<dyn Read> = match start {
            _ if start.starts_with(GZIP) => Box::new(MultiGzDecoder::new(BufReader::new(bytes))),
            _ if start.starts_with(ZSTD) || is_zstd_to_pass_over(&start) => {
                Box::new(ZstdFrames::new(bytes))
            }
            _ => Box::new(bytes),
        };
        Source::peek(bytes)
    }

    fn peek(mut bytes: Box<dyn Read>) -> io::Result<Source> {
        let mut start = Vec::new();
        bytes.by_ref().take(START_BYTES as u64).read_to_end(&mut start)?;
        Ok(Source { bytes: Cursor::new(start.clone()).chain(bytes), start })
    }

    /// How the feed begins, after decompression.
    pub(super) fn start(&self) -> &[u8] {
        &self.start
    }

    /// Reads what has come, as far as there is room; 0 at the end.
    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.bytes.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

/// zstd frames, one behind the other.
struct ZstdFrames<R: Read> {
    /// The frame that is being read, or what comes behind the last one.
    state: Frame<R>,
}

enum Frame<R: Read> {
    Between(BufReader<R>),
    Open(Box<StreamingDecoder<Begun<R>, FrameDecoder>>),
    /// It was damaged.
    Ended,
}

/// A frame whose number was read already.
type Begun<R> = Chain<Cursor<[u8; START_BYTES]>, BufReader<R>>;

impl<R: Read> ZstdFrames<R> {
    fn new(bytes: R) -> ZstdFrames<R> {
        ZstdFrames { state: Frame::Between(BufReader::with_capacity(128 * 1024, bytes)) }
    }
}

impl<R: Read> Read for ZstdFrames<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, Frame::Ended) {
                Frame::Ended => return Ok(0),
                Frame::Between(mut bytes) => {
                    if io::BufRead::fill_buf(&mut bytes)?.is_empty() {
                        return Ok(0);
                    }
                    self.state = next_frame(bytes)?;
                }
                Frame::Open(mut decoder) => match decoder.read(room)? {
                    0 if !room.is_empty() => {
                        self.state = Frame::Between(decoder.into_inner().into_inner().1);
                    }
                    read => {
                        self.state = Frame::Open(decoder);
                        return Ok(read);
                    }
                },
            }
        }
    }
}

/// Opens the frame that comes next, or passes over it.
fn next_frame<R: Read>(mut bytes: BufReader<R>) -> io::Result<Frame<R>> {
    let mut start = [0; START_BYTES];
    bytes.read_exact(&mut start)?;
    if !is_zstd_to_pass_over(&start) {
        let begun = Cursor::new(start).chain(bytes);
        let decoder = StreamingDecoder::new(begun).map_err(io::Error::other)?;
        return Ok(Frame::Open(Box::new(decoder)));
    }
    let mut len = [0; 4];
    bytes.read_exact(&mut len)?;
    let len = u64::from(u32::from_le_bytes(len));
    match io::copy(&mut bytes.by_ref().take(len), &mut io::sink())? {
        passed if passed == len => Ok(Frame::Between(bytes)),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
