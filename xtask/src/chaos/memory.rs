//! The memory that a server may have: a cgroup of its own where this machine lets us make one, and
//! else a bound that is watched.
//!
//! Invariant: a cgroup that was made is removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

/// What bounds the memory of one server after the other.
#[derive(Debug)]
pub(super) enum MemoryLimit {
    /// The kernel ends who takes more.
    Cgroup(Cgroup),
    /// The bound in bytes: who is seen above it is ended by us.
    Watched(u64),
}

/// What the names of cgroups begin with, before the number of the process that made them.
const NAME: &str = "stockd-chaos-";

/// A cgroup, below our own so that no bound of ours is left behind.
#[derive(Debug)]
pub(super) struct Cgroup {
    directory: PathBuf,
    /// The file that counts how often the kernel had to end a process.
    events: &'static str,
    bytes: u64,
}

impl MemoryLimit {
    /// A cgroup with this bound, or the bound to be watched where no cgroup can be made.
    pub(super) fn new(bytes: u64) -> MemoryLimit {
        match Cgroup::make(bytes) {
            Some(cgroup) => MemoryLimit::Cgroup(cgroup),
            None => MemoryLimit::Watched(bytes),
        }
    }

    /// What it is, for people.
    pub(super) fn describe(&self) -> String {
        let mib = |bytes: u64| bytes / (1024 * 1024);
        match self {
            MemoryLimit::Cgroup(cgroup) => format!("{} MiB, by a cgroup", mib(cgroup.bytes)),
            MemoryLimit::Watched(bytes) => {
                format!("{} MiB, watched, since no cgroup can be made here", mib(*bytes))
            }
        }
    }

    /// A command that runs this program under the limit.
    pub(super) fn command(&self, program: &Path) -> Command {
        match self {
            MemoryLimit::Watched(_) => Command::new(program),
            MemoryLimit::Cgroup(cgroup) => {
                let mut command = Command::new("sh");
                command.args(["-c", r#"echo $$ > "$0" && exec "$@""#]);
                command.arg(cgroup.directory.join("cgroup.procs")).arg(program);
                command
            }
        }
    }

    /// Whether a process with this number of resident bytes has to be ended.
    pub(super) fn is_exceeded(&self, resident: u64) -> bool {
        matches!(self, MemoryLimit::Watched(bytes) if resident > *bytes)
    }

    /// How often the kernel has ended a process for this limit.
    pub(super) fn kills(&self) -> u64 {
        let MemoryLimit::Cgroup(cgroup) = self else { return 0 };
        let text = fs::read_to_string(cgroup.directory.join(cgroup.events)).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }
}

impl Cgroup {
    /// Makes one, of version 2 or 1. `None` where that is not possible: without the rights, or
    /// where the controller of memory is not delegated.
    fn make(bytes: u64) -> Option<Cgroup> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        places(&own).into_iter().find_map(|(parent, limit, events)| {
            remove_empty(&parent);
            let directory = parent.join(format!("{NAME}{}", std::process::id()));
            fs::create_dir(&directory).ok()?;
            // Removed when it is dropped, also when the limit cannot be set.
            let cgroup = Cgroup { directory, events, bytes };
            // A version 2 directory without the controller lacks the file, and one of version 1
            // without rights refuses it. `write` alone would make the file on another file system.
            let file = cgroup.directory.join(limit);
            (file.is_file() && fs::write(file, bytes.to_string()).is_ok()).then_some(cgroup)
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It is busy for a moment after its last process has ended.
        for _ in 0..50 {
            if fs::remove_dir(&self.directory).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("cannot remove the cgroup {}", self.directory.display());
    }
}

/// Removes what a run has left that was interrupted. One with processes in it stays.
fn remove_empty(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(NAME) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Where a cgroup could be made, given our own cgroups as /proc/self/cgroup lists them: the parent,
/// the file of the limit, the file of the events.
fn places(own: &str) -> Vec<(PathBuf, &'static str, &'static str)> {
    let below = |root: &str, path: &str| Path::new(root).join(path.trim_start_matches('/'));
    let place = |line: &str| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        if controllers.is_empty() {
            return Some((below("/sys/fs/cgroup", path), "memory.max", "memory.events"));
        }
        controllers.split(',').any(|it| it == "memory").then(|| {
            let parent = below("/sys/fs/cgroup/memory", path);
            (parent, "memory.limit_in_bytes", "memory.oom_control")
        })
    };
    let mut places: Vec<_> = own.lines().filter_map(place).collect();
    // A controller is in one version or the other, and version 1 says so by its name.
    places.sort_by_key(|(_, limit, _)| *limit == "memory.max");
    places
}

/// Bytes that a process has in memory now.
pub(super) fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).unwrap_or("0");
    Ok(kib.parse::<u64>().with_context(|| format!("{path}: VmRSS"))? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_of_memory_is_found_in_both_versions() {
        let own = "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/c\n";
        let found: Vec<PathBuf> = places(own).into_iter().map(|(parent, ..)| parent).collect();
        assert_eq!(found, ["/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/c"].map(PathBuf::from));
        assert_eq!(places("0::/user.slice\n")[0].1, "memory.max");
    }
}
