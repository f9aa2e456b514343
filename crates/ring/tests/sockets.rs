//! The hard cases of a ring, on the kernel that there is. Where that has no io_uring, or forbids it,
//! each test says so and proves nothing.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::sockopt::{
    set_socket_linger, set_socket_recv_buffer_size, set_socket_send_buffer_size,
};
use stockd_ring::{Ready, Receive, Ring, Size, Socket, Waker, probe};

const SIZE: Size = Size {
    operations: 8,
    buffers: 4,
    buffer_bytes: 64,
    write_bytes: 64 * 1024,
    batch_bytes: 64 * 1024,
    table: 16,
};

/// Far more than anything here takes. A test that reaches it hangs and fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rings of this size: one that keeps its sockets in its table, and one whose sockets are files of the
/// process, as in older kernels. Or nothing, and the reason on standard error.
fn open(size: &Size) -> impl Iterator<Item = (Ring, Waker)> {
    let probed = probe();
    if let Err(unavailable) = &probed {
        eprintln!("SKIPPED: {unavailable}");
    }
    let size = *size;
    let tables = probed.is_ok().then_some([size.table, 0]).into_iter().flatten();
    tables.map(move |table| Ring::open(&Size { table, ..size }).unwrap())
}

/// A socket of the ring under a key, and its other end. The system takes few bytes for them.
fn connect(ring: &mut Ring, key: usize) -> (Socket, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (near, _) = listener.accept().unwrap();
    near.set_nodelay(true).unwrap();
    set_socket_send_buffer_size(&near, 16 * 1024).unwrap();
    set_socket_recv_buffer_size(&far, 16 * 1024).unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    far.set_write_timeout(Some(PATIENCE)).unwrap();
    (ring.add(near.into(), key, Receive::Multishot), far)
}

/// The same over a Unix socket.
fn connect_unix(ring: &mut Ring, key: usize) -> (Socket, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    set_socket_send_buffer_size(&near, 16 * 1024).unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    far.set_write_timeout(Some(PATIENCE)).unwrap();
    (ring.add(near.into(), key, Receive::Single), far)
}

/// Waits until something has happened to one of the sockets.
fn wait(ring: &mut Ring) -> Vec<Ready> {
    let mut ready = Vec::new();
    while ready.is_empty() {
        ring.wait(Some(PATIENCE), &mut ready);
    }
    ready
}

/// Submits, and takes what is there already.
fn look(ring: &mut Ring) -> Vec<Ready> {
    let mut ready = Vec::new();
    ring.wait(Some(Duration::ZERO), &mut ready);
    ready
}

/// Reads exactly so many bytes, waiting for them.
fn read_exact(ring: &mut Ring, socket: &Socket, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        match ring.read(socket, &mut bytes[filled..]) {
            Ok(0) => panic!("the end after {filled} bytes of {count}"),
            Ok(read) => filled += read,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                wait(ring);
            }
        }
    }
    bytes
}

fn is_blocked(outcome: io::Result<usize>) -> bool {
    outcome.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Bytes that differ from their neighbours.
fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 251) as u8).collect()
}

#[test]
fn bytes_go_both_ways_in_order_however_they_are_cut() {
    for (mut ring, _) in open(&SIZE) {
        let (socket, mut far) = connect(&mut ring, 7);
        let sent = pattern(10_000);
        for part in sent.chunks(177) {
            far.write_all(part).unwrap();
            assert_eq!(read_exact(&mut ring, &socket, part.len()), part);
            assert_eq!(ring.write(&socket, part).unwrap(), part.len());
            look(&mut ring);
            let mut echoed = vec![0; part.len()];
            far.read_exact(&mut echoed).unwrap();
            assert_eq!(echoed, part);
        }
    }
}

#[test]
fn the_end_is_behind_the_bytes() {
    for (mut ring, _) in open(&SIZE) {
        let (socket, mut far) = connect(&mut ring, 7);
        far.write_all(b"last words").unwrap();
        far.shutdown(Shutdown::Write).unwrap();
        while !wait(&mut ring).iter().any(|ready| ready.hung_up && ready.key == 7) {}
        let mut input = [0; 64];
        assert_eq!(ring.read(&socket, &mut input).unwrap(), 10);
        assert_eq!(ring.read(&socket, &mut input).unwrap(), 0);
        // The other direction is open.
        assert_eq!(ring.write(&socket, b"and mine").unwrap(), 8);
        assert!(ring.is_writing(&socket));
        assert!(wait(&mut ring).iter().any(|ready| ready.writable));
        ring.end(&socket).unwrap();
        look(&mut ring);
        let mut answer = String::new();
        far.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "and mine");
    }
}

/// What it does not read in a pass is set aside and its receiving ends, again and again; each time it
/// has to begin anew.
#[test]
fn one_that_sends_more_than_is_read_at_once_is_read_to_its_end() {
    for (mut ring, _) in open(&SIZE) {
        let (socket, mut far) = connect(&mut ring, 7);
        let sent = pattern(200_000);
        let sender = {
            let sent = sent.clone();
            std::thread::spawn(move || far.write_all(&sent).map(|()| far).unwrap())
        };
        let mut received = Vec::new();
        let mut input = [0; 100];
        while received.len() < sent.len() {
            match ring.read(&socket, &mut input) {
                Ok(0) => panic!("the end after {} bytes", received.len()),
                Ok(bytes) => {
                    received.extend_from_slice(&input[..bytes]);
                    look(&mut ring);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    wait(&mut ring);
                }
            }
        }
        assert!(received == sent);
        sender.join().unwrap();
    }
}

/// Bytes and a reset that both come while the ring does not wait: the kernel hands over the bytes
/// and must not forget the reset behind them.
#[test]
fn a_reset_is_behind_the_bytes() {
    for (mut ring, _) in open(&SIZE) {
        let (socket, mut far) = connect(&mut ring, 7);
        look(&mut ring);
        far.write_all(b"half a li").unwrap();
        set_socket_linger(&far, Some(Duration::ZERO)).unwrap();
        drop(far);
        let mut input = [0; 64];
        let mut told = Vec::new();
        while told.iter().all(|ready: &Ready| !ready.failed && !ready.hung_up) {
            told.extend(wait(&mut ring));
        }
        assert_eq!(ring.read(&socket, &mut input).unwrap(), 9);
        let error = ring.read(&socket, &mut input).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

/// Last bytes and the end come together, whether the ring waits already or not, and whether the client
/// ends its direction or closes: the end is told of without another event.
#[test]
fn the_end_is_behind_the_bytes_of_a_unix_socket() {
    for (mut ring, _) in open(&SIZE) {
        for round in 0..400 {
            let (socket, mut far) = connect_unix(&mut ring, 7);
            if round % 2 == 0 {
                look(&mut ring);
            }
            // None, less than one buffer, exactly so many buffers, and more than all.
            let bytes = pattern([0, 10, 64, 128, 300, 5_000][round % 6]);
            far.write_all(&bytes).unwrap();
            far.shutdown(Shutdown::Write).unwrap();
            let far = (round % 3 != 0).then_some(far);
            assert_eq!(read_exact(&mut ring, &socket, bytes.len()), bytes);
            let mut input = [0; 64];
            while is_blocked(ring.read(&socket, &mut input)) {
                assert!(wait(&mut ring).iter().all(|ready| ready.key == 7));
            }
            assert_eq!(ring.read(&socket, &mut input).unwrap(), 0);
            if let Some(mut far) = far {
                // The other direction is open.
                assert_eq!(ring.write(&socket, b"and mine").unwrap(), 8);
                assert!(ring.is_writing(&socket));
                while ring.is_writing(&socket) {
                    wait(&mut ring);
                }
                ring.end(&socket).unwrap();
                look(&mut ring);
                let mut answer = String::new();
                far.read_to_string(&mut answer).unwrap();
                assert_eq!(answer, "and mine");
            }
            ring.close(socket);
            assert_eq!(look(&mut ring), [], "of sockets that are closed");
        }
    }
}

#[test]
fn bytes_go_both_ways_over_a_unix_socket_and_a_full_one_tells_when_it_takes_more() {
    for (mut ring, _) in open(&SIZE) {
        let (socket, mut far) = connect_unix(&mut ring, 3);
        let bytes = pattern(1_000_000);
        let mut written = 0;
        while !(written > 0 && ring.is_writing(&socket)) {
            written += ring.write(&socket, &bytes[written..]).unwrap_or(0);
            look(&mut ring);
        }
        assert!(is_blocked(ring.write(&socket, b"x")));
        assert!(written < bytes.len(), "it never gets full");
        // What it echoes goes through far smaller buffers, while it is written to.
        let echo = std::thread::spawn(move || {
            let mut far_writer = far.try_clone().unwrap();
            let mut part = [0; 7_000];
            while let Ok(count @ 1..) = far.read(&mut part) {
                far_writer.write_all(&part[..count]).unwrap();
            }
            far_writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut echoed = Vec::new();
        let mut input = [0; 100];
        let mut has_ended = false;
        loop {
            if written < bytes.len() {
                written += ring.write(&socket, &bytes[written..]).unwrap_or(0);
            } else if !has_ended && !ring.is_writing(&socket) {
                ring.end(&socket).unwrap();
                has_ended = true;
            }
            match ring.read(&socket, &mut input) {
                Ok(0) => break,
                Ok(count) => echoed.extend_from_slice(&input[..count]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    if has_ended || ring.is_writing(&socket) {
                        wait(&mut ring);
                    }
                }
            }
        }
        assert!(echoed == bytes);
        echo.join().unwrap();
    }
}

/// As over TCP: what it does not read is held once, and no operation goes on beneath.
#[test]
fn a_unix_socket_that_is_not_read_is_bounded_and_drained() {
    for (mut ring, _) in open(&SIZE) {
        let (greedy, mut far_greedy) = connect_unix(&mut ring, 0);
        let sent = pattern(50_000);
        far_greedy.write_all(&sent).unwrap();
        let (modest, mut far_modest) = connect_unix(&mut ring, 1);
        for _ in 0..100 {
            far_modest.write_all(b"AAPL\n").unwrap();
            assert_eq!(read_exact(&mut ring, &modest, 5), b"AAPL\n");
        }
        far_greedy.shutdown(Shutdown::Write).unwrap();
        assert_eq!(ring.drain(&greedy), sent.len() as u64, "what is held and what is not make all");
        let mut received = Vec::new();
        let mut input = [0; 300];
        loop {
            match ring.read(&greedy, &mut input).unwrap() {
                0 => break,
                count => received.extend_from_slice(&input[..count]),
            }
            if received.len() % 600 == 0 {
                look(&mut ring);
            }
        }
        assert!(received == sent);
    }
}

#[test]
fn one_that_does_not_read_keeps_no_buffer_from_the_others_and_is_bounded() {
    for (mut ring, _) in open(&SIZE) {
        let (greedy, mut far_greedy) = connect(&mut ring, 0);
        let sent = pattern(50_000);
        far_greedy.write_all(&sent).unwrap();
        // Far more than all buffers hold waits for the greedy one, and none of it is read.
        let (modest, mut far_modest) = connect(&mut ring, 1);
        for _ in 0..100 {
            far_modest.write_all(b"AAPL\n").unwrap();
            assert_eq!(read_exact(&mut ring, &modest, 5), b"AAPL\n");
        }
        // It has not been received from without end: what the kernel has not handed over is most.
        let held = ring.drain(&greedy) as usize;
        assert_eq!(held, sent.len(), "what is held and what is not make all");
        assert_eq!(read_exact(&mut ring, &greedy, sent.len()), sent);
    }
}

#[test]
fn without_buffers_receiving_goes_on_as_soon_as_there_are_some() {
    // More sockets receive at once than there are buffers.
    for (mut ring, _) in open(&Size { buffers: 1, ..SIZE }) {
        let mut ends: Vec<_> = (0..20).map(|key| connect(&mut ring, key)).collect();
        look(&mut ring);
        for round in 0..20_u8 {
            for (key, (_, far)) in (0..).zip(&mut ends) {
                far.write_all(&[round, key]).unwrap();
            }
            let mut missing: BTreeSet<usize> = (0..ends.len()).collect();
            while !missing.is_empty() {
                for ready in wait(&mut ring) {
                    let mut input = [0; 64];
                    match ring.read(&ends[ready.key].0, &mut input) {
                        Ok(2) => {
                            assert_eq!(&input[..2], [round, ready.key as u8]);
                            assert!(missing.remove(&ready.key));
                        }
                        other => assert!(is_blocked(other)),
                    }
                }
            }
        }
    }
}

#[test]
fn a_full_socket_refuses_and_tells_when_it_takes_bytes_again() {
    for (mut ring, _) in open(&SIZE) {
        let (socket, mut far) = connect(&mut ring, 3);
        let bytes = pattern(1_000_000);
        let mut written = 0;
        // Until its buffer is full, and what is on its way waits for room.
        loop {
            match ring.write(&socket, &bytes[written..]) {
                Ok(count) => written += count,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    look(&mut ring);
                    if ring.is_writing(&socket) {
                        break;
                    }
                }
            }
        }
        assert!(is_blocked(ring.write(&socket, b"x")));
        assert!(written < bytes.len(), "it never gets full");
        // The other end reads in a thread of its own, since the ring sends only while it waits.
        let reader = std::thread::spawn(move || {
            let mut received = vec![0; 1_000_000];
            far.read_exact(&mut received).unwrap();
            received
        });
        while written < bytes.len() {
            match ring.write(&socket, &bytes[written..]) {
                Ok(count) => written += count,
                Err(_) => assert!(wait(&mut ring).iter().any(|ready| ready.writable)),
            }
        }
        while ring.is_writing(&socket) {
            wait(&mut ring);
        }
        assert!(reader.join().unwrap() == bytes);
    }
}

#[test]
fn a_place_is_not_used_again_before_its_operations_are_over() {
    for (mut ring, _) in open(&SIZE) {
        for round in 0..200_u8 {
            let (socket, mut far) = connect(&mut ring, 0);
            look(&mut ring);
            // It is receiving, a send of it waits for room, and bytes are on their way to it.
            let bytes = vec![round; 60_000];
            while !ring.is_writing(&socket) {
                let _ = ring.write(&socket, &bytes);
                look(&mut ring);
            }
            far.write_all(&[round; 100]).unwrap();
            ring.close(socket);
            let (next, mut far_next) = connect(&mut ring, 1);
            far_next.write_all(b"mine").unwrap();
            assert_eq!(read_exact(&mut ring, &next, 4), b"mine");
            assert!(is_blocked(ring.read(&next, &mut [0; 8])), "bytes of another");
            ring.close(next);
            assert_eq!(look(&mut ring), [], "of sockets that are closed");
            // The end comes, so the file is closed, and nothing but what was sent is before it.
            let mut received = Vec::new();
            let outcome = far.read_to_end(&mut received);
            let reset = outcome.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
            assert!(reset || !received.is_empty());
            assert!(received.iter().all(|&byte| byte == round));
            far_next.set_nonblocking(true).unwrap();
            while is_blocked(far_next.read(&mut [0; 8])) {
                assert_eq!(look(&mut ring), []);
            }
            assert_eq!(far_next.read(&mut [0; 8]).unwrap(), 0);
        }
    }
}

#[test]
fn a_drained_socket_reads_on_without_waiting() {
    for (mut ring, _) in open(&SIZE) {
        let (socket, mut far) = connect(&mut ring, 0);
        let sent = pattern(5_000);
        far.write_all(&sent[..1000]).unwrap();
        wait(&mut ring);
        far.write_all(&sent[1000..]).unwrap();
        far.shutdown(Shutdown::Write).unwrap();
        assert_eq!(ring.drain(&socket), 5_000);
        let mut received = Vec::new();
        let mut input = [0; 300];
        loop {
            match ring.read(&socket, &mut input).unwrap() {
                0 => break,
                bytes => received.extend_from_slice(&input[..bytes]),
            }
            // Waits in between do not bring disorder.
            if received.len() % 600 == 0 {
                look(&mut ring);
            }
        }
        assert_eq!(received, sent);
    }
}

#[test]
fn a_waker_ends_the_wait_from_another_thread_each_time() {
    for (mut ring, waker) in open(&SIZE) {
        for _ in 0..100 {
            let waker = waker.clone();
            let thread = std::thread::spawn(move || waker.wake().unwrap());
            let mut ready = Vec::new();
            assert!(ring.wait(Some(PATIENCE), &mut ready));
            assert!(ready.is_empty());
            thread.join().unwrap();
        }
        assert!(!ring.wait(Some(Duration::from_millis(1)), &mut Vec::new()), "nobody woke it");
    }
}

#[test]
fn a_ring_is_dropped_with_operations_in_flight() {
    for _ in 0..20 {
        for (mut ring, _) in open(&SIZE) {
            let (socket, mut far) = connect(&mut ring, 0);
            let bytes = pattern(60_000);
            while !ring.is_writing(&socket) {
                let _ = ring.write(&socket, &bytes);
                look(&mut ring);
            }
            drop(ring);
            // Its memory is freed: nothing more may be sent from it.
            let mut received = Vec::new();
            let _ = far.read_to_end(&mut received);
            assert!(received.chunks(bytes.len()).all(|part| *part == bytes[..part.len()]));
        }
    }
}

/// The system closes a file that is taken out of a table when no operation needs it any more, whatever
/// other sockets do meanwhile.
#[test]
fn sockets_come_and_go_in_a_table_that_is_full_while_others_stay() {
    for (mut ring, _) in open(&Size { table: 4, ..SIZE }) {
        let mut ends: Vec<_> = (0..8).map(|key| Some(connect(&mut ring, key))).collect();
        for round in 0..50_usize {
            let (socket, mut far) = ends[round * 3 % 8].take().unwrap();
            if round % 2 == 0 {
                ring.end(&socket).unwrap();
            }
            ring.close(socket);
            far.set_nonblocking(true).unwrap();
            while is_blocked(far.read(&mut [0; 8])) {
                assert_eq!(look(&mut ring), []);
            }
            assert_eq!(far.read(&mut [0; 8]).unwrap(), 0);
            ends[round * 3 % 8] = Some(connect(&mut ring, round * 3 % 8));
            for (socket, far) in ends.iter_mut().flatten() {
                far.write_all(b"AAPL\n").unwrap();
                assert_eq!(read_exact(&mut ring, socket, 5), b"AAPL\n");
            }
        }
    }
}

#[test]
fn without_the_table_that_is_asked_for_sockets_are_files_of_the_process() {
    for (mut ring, _) in open(&Size { table: u32::MAX, ..SIZE }) {
        assert_eq!(ring.table(), 0);
        let (socket, mut far) = connect(&mut ring, 0);
        far.write_all(b"AAPL\n").unwrap();
        assert_eq!(read_exact(&mut ring, &socket, 5), b"AAPL\n");
    }
}
