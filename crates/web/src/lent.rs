//! A connection that the server of HTTP uses, and that can be taken back from it.
//!
//! It knows no HTTP. Invariant: after it was taken back, one side alone uses it; to the other it is a connection that has
//! ended.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::Connection;
use crate::door::lock;

/// A connection that others may take back.
#[derive(Clone, Debug)]
pub(crate) struct Lent {
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Lent {
    pub(crate) fn new(connection: Connection) -> Lent {
        Lent { connection: Arc::new(Mutex::new(Some(connection))) }
    }

    /// Takes it back; `None` where that was done before.
    pub(crate) fn take_back(&self) -> Option<Connection> {
        lock(&self.connection).take()
    }

    /// Whether what was written waits for the client.
    pub(crate) fn is_waiting(&self) -> bool {
        lock(&self.connection).as_ref().is_some_and(Connection::is_waiting)
    }

    fn with<T>(
        &self,
        poll: impl FnOnce(Pin<&mut Connection>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut *lock(&self.connection) {
            Some(connection) => poll(Pin::new(connection)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for Lent {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|it| it.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Lent {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|it| it.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|it| it.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|it| it.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|it| it.poll_shutdown(cx))
    }
}
