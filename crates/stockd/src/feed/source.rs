//! The bytes of a feed: a file or standard input, uncompressed.
//!
//! Invariant: compression is seen from the first bytes, whatever the name is. A pipe on which nothing comes keeps nobody from
//! ending the command.

use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::os::fd::AsFd;

use flate2::read::MultiGzDecoder;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ruzstd::decoding::StreamingDecoder;

use crate::interruption::Stopping;

/// A feed that is open.
pub(super) struct Source {
    bytes: Chain<Cursor<Vec<u8>>, Box<dyn Read>>,
    start: Vec<u8>,
}

/// Bytes that tell what a file is.
const START_BYTES: usize = 4;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

impl Source {
    /// Opens a file, `-` being standard input. Once the command is to stop, reading from it is an error.
    pub(super) fn open(name: &str, stopping: &Stopping) -> io::Result<Source> {
        let file = match name {
            // Without the buffer of the library, which may hold what is not seen by who waits for more.
            "-" => File::from(io::stdin().as_fd().try_clone_to_owned()?),
            _ => {
                let file = File::open(name)?;
                if file.metadata()?.is_dir() {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                file
            }
        };
        let bytes = Stoppable { file, stopping: stopping.clone() };
        let Source { bytes, start } = Source::peek(Box::new(bytes))?;
        let bytes: Box<dyn Read> = match start {
            _ if start.starts_with(GZIP) => Box::new(MultiGzDecoder::new(BufReader::new(bytes))),
            _ if start.starts_with(ZSTD) => Box::new(ZstdFrames::new(bytes)),
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

/// A file that is read until the command is to stop.
struct Stoppable {
    file: File,
    stopping: Stopping,
}

/// How often it is looked whether the command is to stop, while nothing comes.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

impl Read for Stoppable {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stopping.has_come() {
                return Err(io::Error::other("interrupted"));
            }
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&LOOK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return self.file.read(room),
                Err(error) => return Err(error.into()),
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
    Open(Box<StreamingDecoder<BufReader<R>, ruzstd::decoding::FrameDecoder>>),
    /// It was damaged.
    Ended,
}

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
                    let decoder = StreamingDecoder::new(bytes).map_err(io::Error::other)?;
                    self.state = Frame::Open(Box::new(decoder));
                }
                Frame::Open(mut decoder) => match decoder.read(room)? {
                    0 if !room.is_empty() => self.state = Frame::Between(decoder.into_inner()),
                    read => {
                        self.state = Frame::Open(decoder);
                        return Ok(read);
                    }
                },
            }
        }
    }
}
