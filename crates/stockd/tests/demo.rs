//! The demo as it is run from a shell: what it shows, how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Generous, and only so that a hanging test ends.
const PATIENCE: Duration = Duration::from_secs(180);

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
    command.arg("demo").args(arguments).stdin(Stdio::null());
    command
}

fn text_of(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A demo that goes on until it is told to stop, or the test is over.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str]) -> Running {
        Running(demo(arguments).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn terminate(&self) {
        let id = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(id, Signal::TERM).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The replies of the rows that ask for a name, with what they mean.
fn replies<'a>(shown: &'a str, name: &str) -> Vec<(&'a str, &'a str)> {
    let rows = shown.lines().filter_map(|line| {
        let date = line.get(..10).filter(|date| date.starts_with("20"))?;
        let rest = line[date.len()..].trim_start().strip_prefix(name)?;
        rest.trim_end().strip_suffix("µs")
    });
    rows.map(|rest| {
        let (reply, rest) = rest.trim().split_once("  ").unwrap();
        (reply, rest.trim().split("  ").next().unwrap())
    })
    .collect()
}

/// The first number of the line that begins with this word, and those after it.
fn numbers(shown: &str, line: &str) -> Vec<u64> {
    let line = shown.lines().rev().find(|text| text.trim_start().starts_with(line));
    line.unwrap()
        .split(|c: char| !c.is_ascii_digit() && c != ',')
        .filter_map(|number| number.replace(',', "").parse().ok())
        .collect()
}

#[test]
fn once_shows_each_kind_of_reply_and_ends_well() {
    let output = demo(&["--once", "--line", "127.0.0.1:0"]).output().unwrap();
    let shown = text_of(&output);
    assert!(output.status.success(), "{shown}{output:?}");
    assert!(shown.contains("every reply was right"), "{shown}");

    let apple = replies(&shown, "AAPL ");
    assert_eq!(apple.len(), 10, "{shown}");
    assert_eq!((apple[0], apple[9]), (("130.31", "trading"), ("430.47", "trading")));
    assert!(apple.iter().all(|(_, meaning)| *meaning == "trading"), "{apple:?}");
    let facebook = replies(&shown, "FB ");
    assert_eq!((facebook[0], facebook[9]), (("-1", "not listed"), ("27.78", "trading")));
    assert_eq!(replies(&shown, "'  IBM  '")[9], ("202.91", "trading"));
    let always = |name, reply| {
        let replies = replies(&shown, name);
        assert_eq!(replies, vec![reply; 10], "{name}");
    };
    always("DEMO.牛来USDT", ("0.0005", "trading"));
    always("DEMO.SOLDOUT", ("0", "exhausted"));
    always("DEMO.HALTED", ("0", "halted"));
    always("DEMO.UNKNOWN", ("-1", "not listed"));
    always("aapl", ("-1", "not listed"));
}

#[test]
fn the_counts_of_the_summary_add_up() {
    let output = demo(&["--once", "--runs", "3", "--line", "127.0.0.1:0"]).output().unwrap();
    let shown = text_of(&output);
    assert!(output.status.success(), "{shown}");
    let names = 11;
    let rows = shown.lines().filter(|line| line.starts_with("20")).count() as u64;
    assert_eq!(rows, 3 * names);
    let &[lookups, hits, misses] = numbers(&shown, "lookups").as_slice() else { panic!("{shown}") };
    assert_eq!((lookups, hits + misses), (rows, rows));
    let replies = numbers(&shown, "replies");
    let [all, prices, not_tradable, not_listed] = [0, 1, 2, 4].map(|at| replies[at]);
    assert_eq!((all, prices + not_tradable, not_listed), (rows, hits, misses), "{replies:?}");
    assert_eq!(numbers(&shown, "updates"), [12_154]);
    assert_eq!(numbers(&shown, "total")[0], rows);
}

#[test]
fn a_pipe_gets_plain_text() {
    let output = demo(&["--once", "--runs", "2", "--line", "127.0.0.1:0"]).output().unwrap();
    let shown = text_of(&output);
    assert!(output.status.success() && !shown.contains(['\x1b', '\r']), "{shown}");
}

#[test]
fn it_goes_on_serving_until_it_is_terminated() {
    let mut demo = Running::start(&["--runs", "2", "--line", "127.0.0.1:0"]);
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    let invitation = lines
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.contains("--server"))
        .expect("an invitation to try it");
    let address = invitation.split_whitespace().last().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"IBM\nDEMO.HALTED\nXYZ\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut replies = String::new();
    client.read_to_string(&mut replies).unwrap();
    let replies: Vec<&str> = replies.lines().collect();
    assert_eq!((replies.len(), &replies[1..]), (3, &["0", "-1"][..]));
    assert!(replies[0].parse::<f64>().unwrap() > 50.0, "{replies:?}");

    demo.terminate();
    let last = lines.map(Result::unwrap).last().unwrap();
    assert!(last.starts_with("stopped after"), "{last}");
    assert!(demo.0.wait().unwrap().success());
}

#[test]
fn an_address_that_is_taken_is_one_line_of_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = demo(&["--once", "--line", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("stockd: cannot listen on") && error.contains(&address), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.trim_end().ends_with("port 0 for any free one"), "{error}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let mut child = demo(&["--once", "--line", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("stockd demo"));
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
