//! A server of lines that answers what a test wants.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Listens until the test ends.
pub(crate) struct FakeServer {
    pub(crate) address: String,
}

impl FakeServer {
    /// Answers the *n*-th request of all, from 0, with `reply(n)`.
    pub(crate) fn start(reply: fn(usize) -> &'static str) -> FakeServer {
        let requests = Arc::new(AtomicUsize::new(0));
        FakeServer::serve(move |stream| {
            let nth = requests.fetch_add(1, Ordering::Relaxed);
            stream.write_all(reply(nth).as_bytes()).is_ok()
        })
    }

    /// Answers nothing before it has this number of requests, and then everything.
    pub(crate) fn holding_back_until(count: usize, reply: &'static str) -> FakeServer {
        let waiting: Arc<Mutex<(usize, Vec<TcpStream>)>> = Arc::default();
        FakeServer::serve(move |stream| {
            let mut waiting = waiting.lock().unwrap();
            waiting.0 += 1;
            waiting.1.push(stream.try_clone().unwrap());
            if waiting.0 < count {
                return true;
            }
            waiting.1.drain(..).all(|mut stream| stream.write_all(reply.as_bytes()).is_ok())
        })
    }

    /// Answers this number of requests and closes every connection at its next.
    pub(crate) fn closing_after(count: usize, reply: &'static str) -> FakeServer {
        let requests = Arc::new(AtomicUsize::new(0));
        FakeServer::serve(move |stream| {
            requests.fetch_add(1, Ordering::Relaxed) < count
                && stream.write_all(reply.as_bytes()).is_ok()
        })
    }

    /// An address where nobody listens.
    pub(crate) fn nobody() -> String {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
    }

    fn serve(answer: impl Fn(&mut TcpStream) -> bool + Clone + Send + 'static) -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answer = answer.clone();
                thread::spawn(move || serve_one(stream, answer));
            }
        });
        FakeServer { address }
    }
}

fn serve_one(mut stream: TcpStream, answer: impl Fn(&mut TcpStream) -> bool) {
    let requests = BufReader::new(stream.try_clone().unwrap());
    for _ in requests.lines().map_while(Result::ok) {
        if !answer(&mut stream) {
            return;
        }
    }
}
