//! Files that are read and never written: writes go to memory instead.
//!
//! A store over them can be opened, recovered and verified, and they stay as they are. It knows
//! pages of bytes and not what they mean.
//!
//! Invariant: a read returns what was written last, from memory or from the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{DatabaseError, StorageBackend};

use crate::disk;
use crate::folder::{Content, Folder, FolderFile};

const PAGE: u64 = 4096;

/// The files of a directory that stay as they are. What is made, renamed or removed there is not.
#[derive(Debug)]
pub(crate) struct ScratchFolder(PathBuf);

impl ScratchFolder {
    pub(crate) fn new(path: &Path) -> ScratchFolder {
        ScratchFolder(path.to_owned())
    }
}

impl Folder for ScratchFolder {
    fn open(&self, name: &str) -> io::Result<FolderFile> {
        let file = File::open(self.path(name))?;
        // As far as the system can: a copy may lie where nothing can be synced.
        let _ = disk::forget_cached(&file);
        let scratch =
            ScratchFile::new(file).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(FolderFile::new(scratch))
    }

    fn create(&self, _: &str) -> io::Result<FolderFile> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        disk::names_in(&self.0)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// One file, and the pages written over it.
#[derive(Debug)]
pub(crate) struct ScratchFile {
    file: FileBackend,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    len: u64,
    /// Bytes of the file that still count. After a cut, what lies beyond reads as zeros.
    file_len: u64,
    /// Pages by number.
    pages: BTreeMap<u64, Box<[u8; PAGE as usize]>>,
}

impl ScratchFile {
    pub(crate) fn new(file: File) -> Result<ScratchFile, DatabaseError> {
        let file = FileBackend::new(file)?;
        let len = file.len().map_err(redb::StorageError::Io)?;
        let written = Written { len, file_len: len, pages: BTreeMap::new() };
        Ok(ScratchFile { file, written: Mutex::new(written) })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page as it is in the file.
    fn page_of_file(&self, number: u64, file_len: u64) -> io::Result<Box<[u8; PAGE as usize]>> {
        let mut page = Box::new([0; PAGE as usize]);
        let begin = number * PAGE;
        let held = file_len.saturating_sub(begin).min(PAGE) as usize;
        if held > 0 {
            self.file.read(begin, &mut page[..held])?;
        }
        Ok(page)
    }
}

impl Content for ScratchFile {}

impl StorageBackend for ScratchFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > written.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let held = written.file_len.saturating_sub(offset).min(out.len() as u64) as usize;
        let (of_file, beyond) = out.split_at_mut(held);
        if held > 0 {
            self.file.read(offset, of_file)?;
        }
        beyond.fill(0);
        let end = offset + out.len() as u64;
        for (number, page) in written.pages.range(offset / PAGE..end.div_ceil(PAGE)) {
            let begin = number * PAGE;
            let (from, to) = (begin.max(offset), (begin + PAGE).min(end));
            out[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&page[(from - begin) as usize..(to - begin) as usize]);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.written();
        if len < written.len {
            written.file_len = written.file_len.min(len);
            written.pages.split_off(&len.div_ceil(PAGE));
            if let Some(last) = written.pages.get_mut(&(len / PAGE)) {
                last[(len % PAGE) as usize..].fill(0);
            }
        }
        written.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        let end = offset + data.len() as u64;
        for number in offset / PAGE..end.div_ceil(PAGE) {
            if !written.pages.contains_key(&number) {
                let page = self.page_of_file(number, written.file_len)?;
                written.pages.insert(number, page);
            }
            let begin = number * PAGE;
            let (from, to) = (begin.max(offset), (begin + PAGE).min(end));
            let page = written.pages.get_mut(&number).expect("it was put there");
            page[(from - begin) as usize..(to - begin) as usize]
                .copy_from_slice(&data[(from - offset) as usize..(to - offset) as usize]);
        }
        written.len = written.len.max(end);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::simulation::Random;

    /// A plain vector is the model.
    #[test]
    fn it_reads_what_was_written_last_and_leaves_the_file_alone() {
        for seed in 0..200 {
            let mut random = Random(seed);
            let mut model: Vec<u8> =
                (0..random.below(5 * PAGE)).map(|_| random.number() as u8).collect();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&model).unwrap();
            let (before, of_file) = (model.clone(), file.try_clone().unwrap());
            let scratch = ScratchFile::new(file).unwrap();
            for _ in 0..30 {
                let at = random.below(6 * PAGE) as usize;
                let len = random.below(2 * PAGE) as usize;
                match random.below(4) {
                    0 => {
                        scratch.set_len(at as u64).unwrap();
                        model.resize(at, 0);
                    }
                    1 => {
                        let data: Vec<u8> = (0..len).map(|_| random.number() as u8).collect();
                        scratch.write(at as u64, &data).unwrap();
                        model.resize(model.len().max(at + len), 0);
                        model[at..at + len].copy_from_slice(&data);
                    }
                    _ => {
                        let mut out = vec![7; len];
                        let read = scratch.read(at as u64, &mut out);
                        match model.get(at..at + len) {
                            Some(held) => {
                                read.unwrap();
                                assert_eq!(out, held, "seed {seed}");
                            }
                            None => drop(read.unwrap_err()),
                        }
                    }
                }
                assert_eq!(scratch.len().unwrap(), model.len() as u64);
            }
            let mut now = vec![0; before.len()];
            FileBackend::new(of_file).unwrap().read(0, &mut now).unwrap();
            assert_eq!(now, before);
        }
    }
}
