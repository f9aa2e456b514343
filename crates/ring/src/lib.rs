//! Sockets of one thread over io_uring.
//!
//! A [`Ring`] reads, writes and closes sockets as if they were ready or not (read(2), write(2) of
//! sockets that do not block), while underneath the kernel receives by itself into buffers that it
//! was given, and everything that was written between two waits goes out with the system call that
//! waits again. One system call serves all sockets that had something to do.
//!
//! This crate is a wall: nothing outside knows `io-uring`, and inside only `kernel.rs` is unsafe.
//! It knows nothing of what the bytes mean. Whether the system allows it all is found out by
//! [`probe`].
//!
//! It needs Linux 6.1: multishot receive (6.0), rings of provided buffers (5.19) and completions
//! that are made only while their thread waits (6.1). From 6.15 on it keeps its sockets in a table of
//! its own, where they are not among the files that the process has open. Elsewhere the crate is empty.

#![cfg(target_os = "linux")]
#![deny(unsafe_code)]

mod batch;
#[allow(unsafe_code, reason = "the file that the crate is a wall around")]
mod kernel;
mod probe;
mod ring;
mod slot;
mod tag;
mod waker;

pub use probe::{Unavailable, probe};
pub use ring::{Ready, Receive, Ring, Size, Socket};
pub use waker::Waker;
