//! How much memory the system gives the process: all there is, or what its control group allows.
//!
//! It knows Linux: `/proc/meminfo`, and control groups of version 2 and 1 where they are mounted
//! as usual. Elsewhere it knows nothing.

use std::fs;
use std::path::Path;

use stockd_model::limits::MEMORY_MIN;

/// The memory that all connections may hold together unless it is set: a quarter of what the system
/// or the control group of the process allows, and at least [`MEMORY_MIN`].
pub fn default_memory_max() -> usize {
    let allowed = allowed(Path::new("/")).unwrap_or(0);
    (allowed / 4).max(MEMORY_MIN)
}

/// All the memory that the system has, where that is known.
pub(crate) fn total_system_memory() -> Option<usize> {
    fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(total)
}

/// What the process may use, where that is known.
fn allowed(root: &Path) -> Option<usize> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let system = read("proc/meminfo").as_deref().and_then(total);
    let groups = read("proc/self/cgroup").unwrap_or_default();
    let in_groups = groups.lines().flat_map(limit_files).filter_map(|path| {
        let limit = read(&path)?;
        // No limit is `max`, or a number above all memory.
        limit.trim().parse().ok()
    });
    in_groups.chain(system).min()
}

/// The first line of `/proc/meminfo`: `MemTotal:       16314420 kB`.
fn total(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The files that limit the group of one line of `/proc/self/cgroup` and those around it. Within a
/// container the group is the root of what is mounted, whatever it is called outside.
fn limit_files(line: &str) -> Vec<String> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (mount, file) = if controllers.is_empty() {
        ("sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|controller| controller == "memory") {
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return Vec::new();
    };
    let around = Path::new(group.trim_start_matches('/')).ancestors();
    around.map(|group| format!("{mount}/{}/{file}", group.display())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KB: usize = 1024;

    fn allowed_with(files: &[(&str, &str)]) -> Option<usize> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        allowed(root.path())
    }

    #[test]
    fn the_smallest_limit_holds() {
        let meminfo = ("proc/meminfo", "MemTotal:       1000 kB\nMemFree:         500 kB\n");
        assert_eq!(allowed_with(&[]), None);
        assert_eq!(allowed_with(&[meminfo]), Some(1000 * KB));
        let v2 = ("proc/self/cgroup", "0::/system.slice/stockd.service\n");
        let own = "sys/fs/cgroup/system.slice/stockd.service/memory.max";
        assert_eq!(allowed_with(&[meminfo, v2, (own, "max\n")]), Some(1000 * KB));
        assert_eq!(allowed_with(&[meminfo, v2, (own, "4096\n")]), Some(4096));
        let around = ("sys/fs/cgroup/system.slice/memory.max", "2048\n");
        assert_eq!(allowed_with(&[meminfo, v2, (own, "4096\n"), around]), Some(2048));
        let v1 = ("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a\n0::/\n");
        let unlimited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
        assert_eq!(allowed_with(&[meminfo, v1, unlimited]), Some(1000 * KB));
        let group = ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "8192");
        assert_eq!(allowed_with(&[meminfo, v1, unlimited, group]), Some(8192));
    }

    #[test]
    fn the_default_is_never_small() {
        assert!(default_memory_max() >= MEMORY_MIN);
    }
}
