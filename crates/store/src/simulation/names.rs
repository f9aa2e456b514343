//! The names of files on a simulated disk: those that a process sees, those that are on the disk, and what
//! lies between.
//!
//! It knows no contents. Invariant: what was synced well is never lost.

use std::collections::BTreeMap;

use super::random::Random;

pub(super) type Names = BTreeMap<String, u64>;

#[derive(Debug, Default)]
pub(super) struct NamesState {
    pub(super) current: Names,
    pub(super) synced: Names,
    pub(super) unsynced: Vec<NameChange>,
}

#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Give(String, u64),
    Rename(String, String),
    Remove(String),
}

impl NamesState {
    /// What was synced, and these changes of what was not.
    pub(super) fn kept<'a>(&self, changes: impl Iterator<Item = &'a NameChange>) -> Names {
        let mut names = self.synced.clone();
        changes.for_each(|change| change.apply(&mut names));
        names
    }

    pub(super) fn left_by_power_loss(&self, random: &mut Random) -> Names {
        let unsynced = self.unsynced.iter();
        match random.below(4) {
            0 => self.synced.clone(),
            1 => self.kept(unsynced),
            2 => self.kept(unsynced.take(random.below(self.unsynced.len() as u64 + 1) as usize)),
            _ => {
                let kept: Vec<bool> = unsynced.clone().map(|_| random.below(2) == 0).collect();
                self.kept(unsynced.zip(kept).filter(|(_, kept)| *kept).map(|(change, _)| change))
            }
        }
    }
}

impl NameChange {
    pub(super) fn apply(&self, names: &mut Names) {
        match self {
            NameChange::Give(name, file) => drop(names.insert(name.clone(), *file)),
            NameChange::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            NameChange::Remove(name) => drop(names.remove(name)),
        }
    }
}
