//! What the system tells of this process: memory and processor time (Linux: proc(5)). Elsewhere nothing
//! is known.

use std::fs;

/// Memory of the process that is in use, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResidentBytes {
    pub(crate) now: usize,
    /// The most that there ever was.
    pub(crate) peak: usize,
}

/// Processor time in seconds, as exactly as the system counts it: in hundredths as a rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CpuSeconds {
    pub(crate) user: f64,
    pub(crate) system: f64,
    /// The same of processes that it has started and that have ended.
    pub(crate) user_children: f64,
    pub(crate) system_children: f64,
}

/// The memory in use now, and at most so far.
pub(crate) fn resident_bytes() -> Option<ResidentBytes> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(ResidentBytes { now: kilobytes(&status, "VmRSS:")?, peak: kilobytes(&status, "VmHWM:")? })
}

/// The processor time of all threads, those included that have ended.
pub(crate) fn cpu_seconds() -> Option<CpuSeconds> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in brackets, may have spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let mut seconds =
        fields.split_ascii_whitespace().skip(11).map(|field| field.parse::<f64>().ok());
    let mut next = || seconds.next().flatten().map(|field| field / ticks);
    Some(CpuSeconds {
        user: next()?,
        system: next()?,
        user_children: next()?,
        system_children: next()?,
    })
}

/// A line of a file of proc: `VmRSS:      1234 kB`.
fn kilobytes(text: &str, name: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells() {
        let memory = resident_bytes().unwrap();
        assert!(memory.now > 100_000 && memory.peak >= memory.now, "{memory:?}");
        let before = cpu_seconds().unwrap();
        assert!(before.user >= 0.0 && before.system >= 0.0, "{before:?}");
    }
}
