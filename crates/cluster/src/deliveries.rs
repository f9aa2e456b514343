//! What the network hands to a node, in order, and waits to be applied.
//!
//! Bounded in number and in bytes: messages of the log may be long, and a node that catches up gets them faster than it
//! applies them. When there is no room the network waits, and flow control has the log wait.
//!
//! Invariant: the bytes that are counted are those of the messages in the queue, or more for a moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError, TrySendError};

use bytes::Bytes;
use stockd_model::limits::{DELIVERIES_BYTES_MAX, DELIVERIES_MAX};

use crate::options::ClusterError;

/// What the network hands to a node.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// A message of the log.
    Message { sequence: u64, message: Bytes },
    /// The log has a message.
    Acked { session: u64, number: u64, sequence: u64 },
    /// A snapshot is kept, or is not.
    Kept { sequence: u64, is_kept: bool },
    /// There is a connection.
    Connected,
    /// There is none.
    Disconnected,
    /// The log cannot be followed, whatever is tried.
    Failed(ClusterError),
}

/// The end of the network.
#[derive(Debug)]
pub(crate) struct Deliveries {
    sender: SyncSender<Delivery>,
    bytes: Arc<AtomicUsize>,
}

/// The end of the node.
#[derive(Debug)]
pub(crate) struct Delivered {
    receiver: Receiver<Delivery>,
    bytes: Arc<AtomicUsize>,
}

/// A queue with nothing in it.
pub(crate) fn queue() -> (Deliveries, Delivered) {
    let (sender, receiver) = mpsc::sync_channel(DELIVERIES_MAX);
    let bytes = Arc::new(AtomicUsize::new(0));
    (Deliveries { sender, bytes: Arc::clone(&bytes) }, Delivered { receiver, bytes })
}

impl Deliveries {
    /// Adds something, or gives it back where there is no room now.
    pub(crate) fn try_send(&self, delivery: Delivery) -> Result<(), TrySendError<Delivery>> {
        let len = delivery.bytes();
        let before = self.bytes.fetch_add(len, Relaxed);
        // What is alone has room, however long it is.
        let is_too_much = len > 0 && before > 0 && before + len > DELIVERIES_BYTES_MAX;
        let sent = match is_too_much {
            true => Err(TrySendError::Full(delivery)),
            false => self.sender.try_send(delivery),
        };
        if sent.is_err() {
            self.bytes.fetch_sub(len, Relaxed);
        }
        sent
    }
}

impl Delivered {
    /// Takes the next one, if there is one now.
    pub(crate) fn try_recv(&self) -> Result<Delivery, TryRecvError> {
        let delivery = self.receiver.try_recv()?;
        self.bytes.fetch_sub(delivery.bytes(), Relaxed);
        Ok(delivery)
    }
}

impl Delivery {
    fn bytes(&self) -> usize {
        match self {
            Delivery::Message { message, .. } => message.len(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: usize) -> Delivery {
        Delivery::Message { sequence: 1, message: vec![7; len].into() }
    }

    #[test]
    fn there_is_room_for_some_bytes_and_always_for_one_message() {
        let (deliveries, delivered) = queue();
        deliveries.try_send(message(DELIVERIES_BYTES_MAX + 1)).unwrap();
        assert!(matches!(deliveries.try_send(message(1)), Err(TrySendError::Full(_))));
        deliveries.try_send(Delivery::Connected).unwrap();
        delivered.try_recv().unwrap();
        let half = DELIVERIES_BYTES_MAX / 2;
        deliveries.try_send(message(half)).unwrap();
        deliveries.try_send(message(half)).unwrap();
        assert!(matches!(deliveries.try_send(message(1)), Err(TrySendError::Full(_))));
        assert!(matches!(delivered.try_recv(), Ok(Delivery::Connected)));
        delivered.try_recv().unwrap();
        deliveries.try_send(message(1)).unwrap();
        drop(delivered);
        assert!(matches!(deliveries.try_send(message(1)), Err(TrySendError::Disconnected(_))));
    }

    #[test]
    fn there_is_room_for_some_messages() {
        let (deliveries, delivered) = queue();
        (0..DELIVERIES_MAX).for_each(|_| deliveries.try_send(message(1)).unwrap());
        assert!(matches!(deliveries.try_send(message(1)), Err(TrySendError::Full(_))));
        (0..DELIVERIES_MAX).for_each(|_| _ = delivered.try_recv().unwrap());
        assert!(matches!(delivered.try_recv(), Err(TryRecvError::Empty)));
        deliveries.try_send(message(DELIVERIES_BYTES_MAX)).unwrap();
    }
}
