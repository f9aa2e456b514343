//! A file of a simulated disk: what is read of it, what is on the disk, and what lies between.
//!
//! It knows no names. Invariant: what was synced well is never lost.

use std::collections::BTreeMap;

use super::random::Random;

/// What a disk writes whole or not at all, unless it is torn within.
pub const SECTOR: usize = 512;

#[derive(Debug, Default)]
pub(super) struct FileState {
    /// What a process reads.
    pub(super) current: Vec<u8>,
    /// What every power failure leaves.
    pub(super) synced: Vec<u8>,
    /// What lies between the two.
    pub(super) unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: usize, data: Vec<u8> },
    Len(usize),
}

impl FileState {
    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }

    pub(super) fn left_by_power_loss(&self, random: &mut Random) -> Vec<u8> {
        let mut left = self.synced.clone();
        match random.below(4) {
            0 => {}
            1 => self.unsynced.iter().for_each(|change| change.apply(&mut left)),
            2 => {
                let kept = random.below(self.unsynced.len() as u64 + 1) as usize;
                self.unsynced[..kept].iter().for_each(|change| change.apply(&mut left));
                if let Some(Change::Write { offset, data }) = self.unsynced.get(kept) {
                    let sectors = random.below(data.len().div_ceil(SECTOR) as u64) as usize;
                    let data = data[..sectors * SECTOR].to_vec();
                    Change::Write { offset: *offset, data }.apply(&mut left);
                }
            }
            _ => self.scatter(&mut left, random),
        }
        left
    }

    /// Gives each sector any of the contents it had since the last sync, and the file any of its
    /// lengths.
    fn scatter(&self, left: &mut Vec<u8>, random: &mut Random) {
        let mut lens = vec![left.len()];
        let mut contents = BTreeMap::<usize, Vec<[u8; SECTOR]>>::new();
        let mut file = left.clone();
        for change in &self.unsynced {
            let before = file.len();
            change.apply(&mut file);
            lens.push(file.len());
            let (from, to) = match change {
                Change::Write { offset, data } => (*offset, offset + data.len()),
                Change::Len(len) => (*len.min(&before), *len.max(&before)),
            };
            for sector in from / SECTOR..to.div_ceil(SECTOR) {
                contents.entry(sector).or_default().push(sector_of(&file, sector));
            }
        }
        // A seeded share of the sectors does not have its latest content.
        let one_in = [2, 4, 16, 64][random.below(4) as usize];
        let len = match random.below(2) {
            0 => file.len(),
            _ => lens[random.below(lens.len() as u64) as usize],
        };
        left.resize(len.max(file.len()), 0);
        for (sector, mut versions) in contents {
            versions.insert(0, sector_of(&self.synced, sector));
            let latest = versions[versions.len() - 1];
            let mut content = latest;
            if random.below(one_in) == 0 {
                content = versions[random.below(versions.len() as u64) as usize];
                if random.below(8) == 0 {
                    let torn = random.below(SECTOR as u64) as usize;
                    content[..torn].copy_from_slice(&latest[..torn]);
                }
            }
            let from = (sector * SECTOR).min(left.len());
            let to = ((sector + 1) * SECTOR).min(left.len());
            left[from..to].copy_from_slice(&content[..to - from]);
        }
        left.truncate(len);
    }
}

impl Change {
    pub(super) fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Change::Write { offset, data } => {
                let end = offset + data.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                file[*offset..end].copy_from_slice(data);
            }
            Change::Len(len) => file.resize(*len, 0),
        }
    }
}

/// A sector as it is, zeros beyond the end.
fn sector_of(file: &[u8], sector: usize) -> [u8; SECTOR] {
    let mut content = [0; SECTOR];
    let held = file.get(sector * SECTOR..).unwrap_or_default();
    let held = &held[..held.len().min(SECTOR)];
    content[..held.len()].copy_from_slice(held);
    content
}
