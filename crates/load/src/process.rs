//! What Linux reports about a process and the machine: CPU time, memory, processor.
//!
//! CPU time is the scheduler's own accounting of every thread (proc(5), `schedstat`), in
//! nanoseconds; that of `/proc/PID/stat` counts ticks of 10 ms.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::error::LoadError;

/// The process of a server on this machine.
#[derive(Clone, Copy, Debug)]
pub struct ServerProcess {
    /// Its number.
    pub pid: u32,
}

impl ServerProcess {
    /// CPU time of all threads that it has.
    ///
    /// # Errors
    ///
    /// When there is no such process, or the system does not report it.
    pub fn cpu_ns(self) -> Result<u64, LoadError> {
        self.read_cpu().map_err(|why| LoadError::Process { pid: self.pid, why })
    }

    fn read_cpu(self) -> io::Result<u64> {
        Ok(self.threads()?.values().map(|thread| thread.cpu_ns).sum())
    }

    /// What the scheduler has counted of each of its threads, by their numbers.
    pub(crate) fn threads(self) -> io::Result<BTreeMap<u32, Scheduled>> {
        let mut threads = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let task = task?;
            let number = task.file_name().to_str().and_then(|name| name.parse().ok());
            match fs::read_to_string(task.path().join("schedstat")) {
                Ok(text) => {
                    let entry = number.zip(Scheduled::parse(&text));
                    threads.extend([entry.ok_or(io::ErrorKind::InvalidData)?]);
                }
                // The thread has just ended.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(threads)
    }

    /// Its resident memory in bytes, if the system reports it.
    pub fn memory_bytes(self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(first_number(resident)? * 1024)
    }
}

/// What the scheduler has counted of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scheduled {
    /// Time on a core.
    pub(crate) cpu_ns: u64,
    /// Time in which it could have gone on but had no core.
    pub(crate) waited_ns: u64,
}

impl Scheduled {
    /// Of the calling thread; `None` where the system does not tell.
    pub(crate) fn of_this_thread() -> Option<Scheduled> {
        Scheduled::parse(&fs::read_to_string("/proc/thread-self/schedstat").ok()?)
    }

    /// From an earlier moment to this one.
    pub(crate) fn since(self, before: Scheduled) -> Scheduled {
        Scheduled {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            waited_ns: self.waited_ns.saturating_sub(before.waited_ns),
        }
    }

    fn parse(text: &str) -> Option<Scheduled> {
        let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok());
        Some(Scheduled { cpu_ns: numbers.next()?, waited_ns: numbers.next()? })
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The machine of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The processor, as it names itself.
    pub cpu: String,
    /// Cores that the load generator may run on.
    pub cores: usize,
    /// System and version.
    pub kernel: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
}

impl Machine {
    /// This machine. What the system does not report is left empty.
    pub fn this() -> Machine {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.map(|rest| rest.trim_matches([' ', '\t', ':']).to_owned()).unwrap_or_default()
        };
        let memory = after(&read("/proc/meminfo"), "MemTotal:");
        let system = rustix::system::uname();
        Machine {
            cpu: after(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: format!(
                "{} {}",
                system.sysname().to_string_lossy(),
                system.release().to_string_lossy()
            ),
            memory_bytes: first_number(&memory).unwrap_or(0) * 1024,
        }
    }
}

/// Lets this process open this number of files, if the system allows it.
pub(crate) fn allow_files(files: usize) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = files as u64;
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        // Where it is denied, connecting fails with a message that says so.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    use super::*;

    /// A process with one thread: with several, one may end, and its CPU time is gone.
    #[test]
    fn a_process_has_cpu_time_and_memory_and_none_has_not() {
        let mut command = Command::new("cat");
        let mut cat = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut input, mut output) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
        let mut answer = || {
            input.write_all(b"a").unwrap();
            output.read_exact(&mut [0]).unwrap();
        };
        answer();
        let process = ServerProcess { pid: cat.id() };
        assert!(process.memory_bytes().unwrap() > 100_000);
        let before = process.cpu_ns().unwrap();
        answer();
        assert!(before > 0 && process.cpu_ns().unwrap() >= before);
        drop(input);
        cat.wait().unwrap();
        let none = ServerProcess { pid: u32::MAX };
        assert!(none.cpu_ns().unwrap_err().to_string().contains("--pid"));
        let machine = Machine::this();
        assert!(machine.kernel.starts_with("Linux ") && machine.memory_bytes > 0, "{machine:?}");
    }
}
