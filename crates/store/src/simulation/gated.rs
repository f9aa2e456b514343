//! A store whose commits wait until they are let through.

use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::error::StoreError;
use crate::store::Store;
use crate::write::Write;

/// A disk that takes a commit only when it is told to, and then as it is told. It keeps nothing.
#[derive(Debug)]
pub struct GatedStore {
    gate: Mutex<Receiver<bool>>,
}

impl GatedStore {
    /// The store, and what lets one commit through: `false` makes it fail for want of room. When the sender is gone all
    /// commits succeed.
    pub fn new() -> (GatedStore, Sender<bool>) {
        let (sender, gate) = channel();
        (GatedStore { gate: Mutex::new(gate) }, sender)
    }
}

impl Store for GatedStore {
    fn commit(&mut self, _: &[Write], _: u64) -> Result<(), StoreError> {
        let gate = self.gate.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        match gate.recv() {
            Ok(false) => {
                let (path, source) = ("quotes".into(), ErrorKind::StorageFull.into());
                Err(StoreError::Commit { path, source })
            }
            _ => Ok(()),
        }
    }
}
