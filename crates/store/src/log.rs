//! The log: what was committed since the checkpoint, one batch a commit, in segments.
//!
//! It owns the segments and their names, and appends to the last of them. It knows no tables.
//!
//! A segment takes its name when its header is on the disk. The one before it gets its end then, and only
//! after that a batch goes to the new one. So where a segment has its end, the next one was there.
//!
//! A segment is written with zeros ahead of its batches, in steps that grow, and one that is done with is used
//! again. So a sync of a batch has nothing else to write, but for that of the first batch behind such a step.
//!
//! Invariant: batches are written in the order of their sequences, each when all before it were synced.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use redb::StorageBackend;
use stockd_model::limits::{
    LOG_SEGMENT_BYTES, LOG_SEGMENTS_MAX, LOG_ZEROS_BYTES_MAX, LOG_ZEROS_BYTES_MIN,
};

use crate::batch::{self, END_BYTES, Frame};
use crate::changes::Changes;
use crate::error::StoreError;
use crate::folder::{Folder, FolderFile};
use crate::position::Position;
use crate::segment::{self, HEADER_BYTES, SegmentId, Walked};
use crate::write::Write;

/// A segment that is done with, to be used again; or one that is being made.
pub(crate) const SPARE_FILE: &str = "quotes.spare.log";

/// How large what is kept may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogSizes {
    /// Bytes of a segment, unless one batch alone is larger.
    pub(crate) segment_bytes: u64,
    /// Segments that are kept before writes wait for a checkpoint.
    pub(crate) segments_max: usize,
}

/// The log, open to be appended to.
#[derive(Debug)]
pub(crate) struct Log {
    folder: Arc<dyn Folder>,
    epoch: u64,
    sizes: LogSizes,
    /// The oldest first. Appended to is the last.
    segments: VecDeque<Segment>,
    /// How long the file of the last segment is.
    file_bytes: u64,
    /// The sequence of the next batch.
    sequence: u64,
    version_floor: u64,
    /// Batches are encoded here.
    buffer: Vec<u8>,
}

/// One segment, as far as it is written.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    id: SegmentId,
    file: FolderFile,
    /// For messages.
    path: PathBuf,
    /// Where its batches end.
    end: u64,
}

impl Default for LogSizes {
    fn default() -> LogSizes {
        LogSizes { segment_bytes: LOG_SEGMENT_BYTES, segments_max: LOG_SEGMENTS_MAX }
    }
}

impl Log {
    /// Begins a log at a position where there is none. The position that it has then is to be kept before
    /// anything is appended.
    pub(crate) fn begin(
        folder: &Arc<dyn Folder>,
        epoch: u64,
        sizes: LogSizes,
        (position, version_floor): (Position, u64),
    ) -> Result<Log, StoreError> {
        let id = SegmentId { epoch, number: position.segment };
        let (segment, file_bytes) = make_segment(&**folder, id, position.sequence)
            .map_err(|error| StoreError::writing(folder.path(&id.name()), error))?;
        Ok(Log {
            folder: Arc::clone(folder),
            epoch,
            sizes,
            segments: VecDeque::from([segment]),
            file_bytes,
            sequence: position.sequence,
            version_floor,
            buffer: Vec::new(),
        })
    }

    /// Opens the log that goes on behind a position, and gives what it has done since. A batch that was cut
    /// in half at its end is not there any more. `None` where there is no log.
    pub(crate) fn open(
        folder: &Arc<dyn Folder>,
        epoch: u64,
        sizes: LogSizes,
        (position, version_floor): (Position, u64),
    ) -> Result<(Option<Log>, Changes), StoreError> {
        let mut reader = Reader { folder: &**folder, epoch, changes: Changes::default() };
        if !position.is_begun {
            reader.expect_no_batches(position.segment)?;
            return Ok((None, reader.changes));
        }
        let mut segments = VecDeque::new();
        let mut at = position;
        let file_bytes = loop {
            let (segment, behind, file_bytes) = reader.read(at)?;
            let is_last = behind.segment == segment.id.number;
            segments.push_back(segment);
            at = behind;
            if is_last {
                break file_bytes;
            }
        };
        reader.expect_no_batches(at.segment + 1)?;
        let (changes, sequence) = (reader.changes, at.sequence);
        let version_floor = version_floor.max(changes.version_floor());
        let (folder, buffer) = (Arc::clone(folder), Vec::new());
        let log =
            Log { folder, epoch, sizes, segments, file_bytes, sequence, version_floor, buffer };
        Ok((Some(log), changes))
    }

    /// Appends a batch, and syncs it.
    pub(crate) fn append(&mut self, writes: &[Write], floor: u64) -> Result<(), StoreError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let appended = self.append_with(&mut buffer, writes, self.version_floor.max(floor));
        if buffer.capacity() <= LOG_ZEROS_BYTES_MAX as usize {
            self.buffer = buffer;
        }
        appended.map_err(|error| StoreError::writing(self.path(), error))
    }

    fn append_with(
        &mut self,
        buffer: &mut Vec<u8>,
        writes: &[Write],
        version_floor: u64,
    ) -> io::Result<()> {
        batch::encode(buffer, writes, self.frame(version_floor));
        let Segment { end, .. } = self.last();
        let is_empty = *end == HEADER_BYTES as u64;
        if !is_empty && end + (buffer.len() + END_BYTES) as u64 > self.sizes.segment_bytes {
            self.begin_next()?;
            // Its checksum is another one there.
            batch::encode(buffer, writes, self.frame(version_floor));
        }
        self.write(buffer)?;
        self.version_floor = version_floor;
        Ok(())
    }

    /// Where it ends now, and the version floor there.
    pub(crate) fn end(&self) -> (Position, u64) {
        let Segment { id, end, .. } = self.last();
        let (segment, sequence) = (id.number, self.sequence);
        (Position { is_begun: true, segment, offset: *end, sequence }, self.version_floor)
    }

    /// Its segments, as they are now, the oldest first.
    pub(crate) fn segments(&self) -> Vec<Segment> {
        self.segments.iter().cloned().collect()
    }

    /// How many segments it has.
    pub(crate) fn len(&self) -> usize {
        self.segments.len()
    }

    /// Bytes of it behind a position.
    pub(crate) fn bytes_behind(&self, position: Position) -> u64 {
        let bytes: u64 = self.segments.iter().map(|segment| segment.end).sum();
        bytes.saturating_sub(position.offset)
    }

    /// Whether it has as many segments as it may have.
    pub(crate) fn is_full(&self) -> bool {
        self.segments.len() >= self.sizes.segments_max
    }

    /// Lets go of the segments before a position, which the checkpoint has.
    pub(crate) fn forget_before(&mut self, position: Position) -> io::Result<()> {
        while self.segments.len() > 1
            && let Some(first) = self.segments.front()
            && first.id.number < position.segment
        {
            let (name, len) = (first.id.name(), first.file.len()?);
            let may_be_spare = len <= self.sizes.segment_bytes && !has_spare(&self.folder.names()?);
            match may_be_spare {
                true => self.folder.rename(&name, SPARE_FILE)?,
                false => self.folder.remove(&name)?,
            }
            self.segments.pop_front();
        }
        Ok(())
    }

    fn last(&self) -> &Segment {
        self.segments.back().expect("a log has a segment")
    }

    fn path(&self) -> PathBuf {
        self.last().path.clone()
    }

    fn frame(&self, version_floor: u64) -> Frame {
        Frame { key: self.last().id.key(), sequence: self.sequence, version_floor }
    }

    /// Makes the next segment, and ends the last one.
    fn begin_next(&mut self) -> io::Result<()> {
        let id = SegmentId { epoch: self.epoch, number: self.last().id.number + 1 };
        let (next, file_bytes) = make_segment(&*self.folder, id, self.sequence + 1)?;
        let mut end = Vec::with_capacity(END_BYTES);
        batch::encode_end(&mut end, self.frame(self.version_floor));
        self.write(&end)?;
        self.segments.push_back(next);
        self.file_bytes = file_bytes;
        Ok(())
    }

    /// Writes a batch at the end of the last segment, and syncs it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let segment = self.segments.back_mut().expect("a log has a segment");
        let end = segment.end + bytes.len() as u64;
        if end > self.file_bytes {
            let step = self.file_bytes.clamp(LOG_ZEROS_BYTES_MIN, LOG_ZEROS_BYTES_MAX);
            let room = end.max(self.sizes.segment_bytes.min(self.file_bytes + step));
            let zeros = vec![0; (room - self.file_bytes) as usize];
            segment.file.write(self.file_bytes, &zeros)?;
            self.file_bytes = room;
            // The zeros are to be on the disk, too: a later sync finds their place there.
            segment.file.write(segment.end, bytes)?;
            segment.file.sync_data()?;
        } else {
            segment.file.write_synced(segment.end, bytes)?;
        }
        segment.end = end;
        self.sequence += 1;
        Ok(())
    }
}

impl Segment {
    /// Adds the batches from a position on to these changes. Gives the position behind them.
    pub(crate) fn read(
        &self,
        from: Position,
        changes: &mut Changes,
    ) -> Result<Position, StoreError> {
        let mut bytes = vec![0; self.end as usize];
        let read = self.file.read(0, &mut bytes);
        read.map_err(|error| StoreError::reading_log(self.path.clone(), error))?;
        let walked =
            add_batches(self.id, &bytes, from, changes).map_err(|what| self.damaged(what))?;
        changes.end_segment(bytes);
        Ok(behind(self.id, walked))
    }

    pub(crate) fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), what }
    }
}

/// Where the log goes on behind what was found in a segment.
fn behind(id: SegmentId, Walked { end, sequence, is_ended }: Walked) -> Position {
    let (segment, offset) = match is_ended {
        true => (id.number + 1, HEADER_BYTES),
        false => (id.number, end),
    };
    Position { is_begun: true, segment, offset: offset as u64, sequence }
}

/// Adds the batches of a segment from a position on to these changes, or says what is wrong with them.
fn add_batches(
    id: SegmentId,
    bytes: &[u8],
    from: Position,
    changes: &mut Changes,
) -> Result<Walked, String> {
    let offset = usize::try_from(from.offset).unwrap_or(usize::MAX);
    if offset > bytes.len() {
        return Err(format!("it has {} bytes, and the checkpoint {offset} of it", bytes.len()));
    }
    let mut wrong = None;
    let walked = id.walk(bytes, offset, from.sequence, |at, batch| {
        if changes.add(at, &batch).is_none() {
            wrong.get_or_insert(at);
        }
    });
    match (walked, wrong) {
        (Ok(walked), None) => Ok(walked),
        (Err(at), _) | (_, Some(at)) => {
            Err(format!("its batch at byte {at} is not as it was written, or one is missing there"))
        }
    }
}

/// Opens segments one after the other.
struct Reader<'a> {
    folder: &'a dyn Folder,
    epoch: u64,
    changes: Changes,
}

impl Reader<'_> {
    /// Reads the batches of a segment from a position on. Gives where the log goes on, and how long the
    /// file is.
    fn read(&mut self, from: Position) -> Result<(Segment, Position, u64), StoreError> {
        let id = SegmentId { epoch: self.epoch, number: from.segment };
        let path = self.folder.path(&id.name());
        let damaged = |what: String| StoreError::Damaged { path: path.clone(), what };
        let file = self.folder.open(&id.name()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => damaged("it is missing".to_owned()),
            _ => StoreError::reading_log(path.clone(), error),
        })?;
        let bytes = file.content().map_err(|error| StoreError::reading_log(path.clone(), error))?;
        let first = id.first_sequence(&bytes).map_err(damaged)?;
        if from.offset == HEADER_BYTES as u64 && first != from.sequence {
            return Err(damaged(format!("it begins with batch {first}, not {}", from.sequence)));
        }
        let walked = add_batches(id, &bytes, from, &mut self.changes).map_err(damaged)?;
        let file_bytes = bytes.len() as u64;
        self.changes.end_segment(bytes);
        let segment = Segment { id, file, path, end: walked.end as u64 };
        Ok((segment, behind(id, walked), file_bytes))
    }

    /// Makes sure that the log does not go on with this segment: at most it was made, and has nothing.
    fn expect_no_batches(&self, number: u64) -> Result<(), StoreError> {
        let listing = |source| StoreError::reading_log(self.folder.path(""), source);
        for name in self.folder.names().map_err(listing)? {
            let Some(later) = segment::number_of(&name).filter(|later| *later >= number) else {
                continue;
            };
            let path = self.folder.path(&name);
            let reading = |source| StoreError::reading_log(path.clone(), source);
            let damaged = |what| StoreError::Damaged { path: path.clone(), what };
            let bytes = self.folder.open(&name).and_then(|file| file.content()).map_err(reading)?;
            let id = SegmentId { epoch: self.epoch, number: later };
            id.first_sequence(&bytes).map_err(damaged)?;
            // No batch has the sequence 0.
            if later > number || id.walk(&bytes, HEADER_BYTES, 0, |_, _| {}).is_err() {
                return Err(damaged(
                    "it has batches, and those before them are missing".to_owned(),
                ));
            }
        }
        Ok(())
    }
}

fn has_spare(names: &[String]) -> bool {
    names.iter().any(|name| name == SPARE_FILE)
}

/// Makes a segment, of the spare one where there is one. Also gives how long its file is.
fn make_segment(
    folder: &dyn Folder,
    id: SegmentId,
    first_sequence: u64,
) -> io::Result<(Segment, u64)> {
    let file = match has_spare(&folder.names()?) {
        true => folder.open(SPARE_FILE)?,
        false => folder.create(SPARE_FILE)?,
    };
    file.write(0, &id.header(first_sequence))?;
    file.sync_data()?;
    folder.rename(SPARE_FILE, &id.name())?;
    folder.sync()?;
    let file_bytes = file.len()?;
    let (path, end) = (folder.path(&id.name()), HEADER_BYTES as u64);
    Ok((Segment { id, file, path, end }, file_bytes))
}
