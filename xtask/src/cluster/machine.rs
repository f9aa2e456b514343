//! When, where and with what something was measured, for records.

use std::path::Path;
use std::process::Command;

/// Today, as records are named.
pub(super) fn date() -> String {
    first_line(Command::new("date").args(["-u", "+%F"]))
}

/// The machine, the commit and the load that it had, in a line.
pub(super) fn describe(nats: &Path) -> String {
    let kernel = first_line(Command::new("uname").arg("-sr"));
    let commit = first_line(Command::new("git").args(["rev-parse", "--short", "HEAD"]));
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let nats = first_line(Command::new(nats).arg("--version"));
    format!(
        "{}, {processors} processors of {}, {kernel}; commit {commit}; {nats}; load average {}",
        date(),
        cpu.unwrap_or("an unknown kind"),
        load()
    )
}

/// The load average of the last minute.
pub(super) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// Nanoseconds that a thread has had a processor, by its directory under `/proc`.
pub(super) fn processor_ns(thread: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(thread.join("schedstat")).ok()?;
    text.split(' ').next()?.parse().ok()
}

/// The first line that a program prints; empty where it is not there.
fn first_line(command: &mut Command) -> String {
    let text = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}
