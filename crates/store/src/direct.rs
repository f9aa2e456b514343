//! Writes that are synced at once, past the page cache.
//!
//! A write through the page cache that is synced is copied there, noted, looked for among what is to be written, and
//! written: a whole block, whatever its bytes are. Past it the system takes whole blocks alone and does nothing else, so
//! the block in which the last write ended is kept here, and is written once more with what follows.
//!
//! It knows neither what it writes nor how files are opened otherwise. A file system that cannot do this says so, and a
//! write that would make the file longer is left to others, too.
//!
//! Invariant: what is kept is what the file has from the beginning of a block up to the end of the last write.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use rustix::fs::OFlags;
use rustix::io::{Errno, ReadWriteFlags};

/// What addresses, places and lengths are multiples of: a page, which is no less than any disk asks for.
const BLOCK: usize = 4096;

/// A file that is written past the page cache.
#[derive(Debug)]
pub(crate) struct Direct {
    file: File,
    /// How long the file was when that was last looked at.
    file_bytes: u64,
    /// Where the last write has ended.
    end: Option<u64>,
    /// The blocks that are written, from the first address of a block on.
    room: Vec<u8>,
}

impl Direct {
    /// The file that is open here, once more. `None` where the system has no such writes.
    pub(crate) fn open(file: &File) -> Option<Direct> {
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(OFlags::DIRECT.bits() as i32);
        let again = options.open(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
        Some(Direct { file: again, file_bytes: 0, end: None, room: Vec::new() })
    }

    /// Writes and syncs, and puts zeros behind that up to the end of its block. `false` where that cannot be done so:
    /// then nothing was written. `cached` is the same file.
    pub(crate) fn write(&mut self, cached: &File, offset: u64, data: &[u8]) -> io::Result<bool> {
        let lead = (offset % BLOCK as u64) as usize;
        let begin = offset - lead as u64;
        let bytes = (lead + data.len()).next_multiple_of(BLOCK);
        if begin + bytes as u64 > self.file_bytes {
            self.file_bytes = cached.metadata()?.len();
            if begin + bytes as u64 > self.file_bytes {
                self.end = None;
                return Ok(false);
            }
        }
        let is_kept = self.end.take() == Some(offset);
        let blocks = self.blocks(bytes);
        if !is_kept {
            cached.read_exact_at(&mut blocks[..lead], begin)?;
        }
        blocks[lead..lead + data.len()].copy_from_slice(data);
        blocks[lead + data.len()..].fill(0);
        if !self.write_blocks(begin, bytes)? {
            return Ok(false);
        }
        // The block in which it ends is the first of the next ones.
        let kept = (lead + data.len()) / BLOCK * BLOCK;
        if kept < bytes {
            self.blocks(bytes).copy_within(kept.., 0);
        }
        self.end = Some(offset + data.len() as u64);
        Ok(true)
    }

    /// This number of bytes at the address of a block. What was in the first block is still there.
    fn blocks(&mut self, bytes: usize) -> &mut [u8] {
        if self.room.len() < bytes + BLOCK {
            let at = self.room.as_ptr().align_offset(BLOCK);
            let first = self.room.get(at..at.saturating_add(BLOCK)).unwrap_or_default().to_vec();
            self.room = vec![0; bytes + BLOCK];
            let at = self.room.as_ptr().align_offset(BLOCK);
            self.room[at..at + first.len()].copy_from_slice(&first);
        }
        let at = self.room.as_ptr().align_offset(BLOCK);
        &mut self.room[at..at + bytes]
    }

    /// `false` where the file system takes no such writes.
    fn write_blocks(&mut self, begin: u64, bytes: usize) -> io::Result<bool> {
        let at = self.room.as_ptr().align_offset(BLOCK);
        let blocks = &self.room[at..at + bytes];
        let mut written = 0;
        while written < bytes {
            let (rest, place) = ([IoSlice::new(&blocks[written..])], begin + written as u64);
            match rustix::io::pwritev2(&self.file, &rest, place, ReadWriteFlags::DSYNC) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(Errno::INTR) => {}
                Err(Errno::INVAL | Errno::OPNOTSUPP) if written == 0 => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of all sizes one behind the other, some of them written in the usual way, over what was there before.
    #[test]
    fn what_is_written_in_pieces_is_there() {
        const BYTES: usize = 64 * BLOCK;
        let file = tempfile::tempfile().unwrap();
        let mut expected = vec![7; BYTES];
        file.write_all_at(&expected, 0).unwrap();
        let Some(mut direct) = Direct::open(&file) else { return };
        let (mut at, mut piece) = (48, 1);
        while at + piece <= BYTES {
            let data: Vec<u8> = (0..piece).map(|byte| (at + byte) as u8).collect();
            expected[at..at + piece].copy_from_slice(&data);
            let is_usual = piece % 5 == 0;
            if is_usual || !direct.write(&file, at as u64, &data).unwrap() {
                file.write_all_at(&data, at as u64).unwrap();
                file.sync_data().unwrap();
            }
            at += piece;
            let mut found = vec![0; at];
            file.read_exact_at(&mut found, 0).unwrap();
            assert!(found == expected[..at], "{piece} bytes before {at}");
            piece = piece * 7 % 20_011 + 1;
        }
        assert_eq!(file.metadata().unwrap().len(), BYTES as u64);
        // Nothing makes the file longer.
        assert!(!direct.write(&file, BYTES as u64 - 10, &[1; 20]).unwrap());
        assert_eq!(file.metadata().unwrap().len(), BYTES as u64);
    }
}
