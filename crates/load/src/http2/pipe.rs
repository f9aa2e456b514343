//! What stands for a socket where `h2` reads and writes: bytes that were put there, and bytes that are taken away.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both ends of it. One thread has them, so nothing waits for the lock.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe {
    bytes: Arc<Mutex<Both>>,
}

#[derive(Debug, Default)]
struct Both {
    /// From the server; those up to `read` are read.
    input: Vec<u8>,
    read: usize,
    /// To the server.
    output: Vec<u8>,
}

/// Notes that something of `h2` wants to be polled again.
#[derive(Debug, Default)]
pub(super) struct Woken {
    is_set: AtomicBool,
}

impl Pipe {
    fn both(&self) -> MutexGuard<'_, Both> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds bytes of the server.
    pub(super) fn put_input(&self, bytes: &[u8]) {
        let both = &mut *self.both();
        both.input.drain(..both.read);
        both.read = 0;
        both.input.extend_from_slice(bytes);
    }

    /// Appends what was written for the server.
    pub(super) fn take_output(&self, output: &mut Vec<u8>) {
        output.append(&mut self.both().output);
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let both = &mut *self.both();
        let unread = both.input.get(both.read..).unwrap_or_default();
        let bytes = unread.len().min(buffer.remaining());
        if bytes == 0 {
            // It is polled again once there is more.
            return Poll::Pending;
        }
        buffer.put_slice(&unread[..bytes]);
        both.read += bytes;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.both().output.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Woken {
    pub(super) fn clear(&self) {
        self.is_set.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_set.store(true, Ordering::Relaxed);
    }
}
