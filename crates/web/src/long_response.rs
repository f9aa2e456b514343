//! A response over HTTP/1.1 that goes on as long as its client is there: a stream of events or lines.
//!
//! It is written here, in chunks, on the connection alone: what a server of HTTP holds for a connection, 16 KiB of
//! buffers above all, is given back when the response begins. Nothing is asked behind such a response, so the connection ends with it.
//!
//! It owns the head and the chunks, and knows nothing of what is in them. Invariant: while nothing is to be said it has
//! no buffer, and it sees that the client has left.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderName, Response};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use crate::connection::{Connection, ConnectionInfo};
use crate::plane::Plane;

/// Headers that belong to the connection and are said here.
const OWN_HEADERS: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING];

/// What happens first.
enum Event {
    /// This is to be said; nothing more where it is `None`.
    Frame(Option<Bytes>),
    /// The client has left.
    Left,
}

/// Writes the response to its end, or until the client has left. The connection counts as open until then.
pub(crate) async fn write(
    mut connection: Connection,
    response: Response<Body>,
    info: Arc<ConnectionInfo>,
    plane: Arc<Plane>,
) {
    let (head, body) = response.into_parts();
    tokio::select! {
        written = write_all(&mut connection, head, body) => {
            if let Err(error) = written {
                tracing::debug!("{}: closed: {error}", info.peer);
            }
        }
        () = plane.goodbyes_over() => {}
    }
}

async fn write_all(connection: &mut Connection, head: Parts, mut body: Body) -> io::Result<()> {
    connection.write_all(&encode_head(&head)).await?;
    drop(head);
    let mut listens = true;
    loop {
        let event = std::future::poll_fn(|cx| poll(connection, &mut body, &mut listens, cx)).await;
        match event {
            Event::Left => return Ok(()),
            Event::Frame(None) => {
                connection.write_all(b"0\r\n\r\n").await?;
                return connection.shutdown().await;
            }
            Event::Frame(Some(data)) => {
                connection.write_all(&encode_chunk(&data)).await?;
                connection.flush().await?;
            }
        }
    }
}

/// Waits for something to say, or for the client to leave.
fn poll(
    connection: &mut Connection,
    body: &mut Body,
    listens: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Event> {
    let mut byte = [0];
    if *listens {
        let mut buffer = ReadBuf::new(&mut byte);
        match Pin::new(connection).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                // It asks for something else, which it will not get. Whether it leaves is seen when it is written to.
                *listens = false;
            }
            Poll::Ready(_) => return Poll::Ready(Event::Left),
            Poll::Pending => {}
        }
    }
    loop {
        let frame = match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame.and_then(Result::ok),
        };
        match frame.map(http_body::Frame::into_data) {
            None => return Poll::Ready(Event::Frame(None)),
            // An empty chunk would be the last.
            Some(Ok(data)) if !data.is_empty() => return Poll::Ready(Event::Frame(Some(data))),
            Some(_) => {}
        }
    }
}

fn encode_head(head: &Parts) -> Vec<u8> {
    let mut out = Vec::new();
    let date = httpdate::fmt_http_date(SystemTime::now());
    // A vector takes everything.
    let _ = write!(out, "HTTP/1.1 {}\r\n", head.status);
    for (name, value) in head.headers.iter().filter(|(name, _)| !OWN_HEADERS.contains(name)) {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let _ = write!(out, "transfer-encoding: chunked\r\nconnection: close\r\ndate: {date}\r\n\r\n");
    out
}

fn encode_chunk(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 16);
    let _ = write!(out, "{:x}\r\n", data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_what_the_response_does_and_how_it_is_written() {
        let response = Response::builder()
            .status(200)
            .header("content-type", "text/event-stream")
            .header("content-length", "5")
            .header("x-accel-buffering", "no");
        let (head, ()) = response.body(()).unwrap().into_parts();
        let text = String::from_utf8(encode_head(&head)).unwrap();
        let (before, date) = text.split_once("date: ").unwrap();
        assert_eq!(
            before,
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-accel-buffering: no\r\n\
             transfer-encoding: chunked\r\nconnection: close\r\n"
        );
        assert!(date.ends_with(" GMT\r\n\r\n"), "{date}");
        assert_eq!(encode_chunk(b"data: 1\n\n"), b"9\r\ndata: 1\n\n\r\n");
    }
}
