//! The memory of the container in which this process runs.

use std::{fs, path::Path};

/// The smallest limit of the control groups that hold this process, else the machine's memory, in bytes; `None` on systems
/// without `/proc`. `root` is `/` but in tests.
pub fn memory_bytes(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| limits(root, line));
    limits.chain(machine(root)).min()
}

/// The limits of one line of `/proc/self/cgroup`, `ID:CONTROLLERS:PATH`, and of the groups above it. In a container the path
/// may be the host's, which is not there; the container's own limit is then at the top.
fn limits(root: &Path, line: &str) -> Vec<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return Vec::new() };
    let (mount, file) = if controllers.is_empty() {
        ("sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|controller| controller == "memory") {
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return Vec::new();
    };
    let limit = |group: &Path| {
        let group = root.join(mount).join(group.strip_prefix("/").unwrap_or(group));
        // Version 2 writes `max` for no limit, version 1 a number beyond any memory.
        fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()
    };
    Path::new(path).ancestors().filter_map(limit).collect()
}

/// The memory of the machine: the line `MemTotal:  24737016 kB`.
fn machine(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files.iter().chain(&[("proc/meminfo", "MemTotal:       24737016 kB\nMemFree: 1 kB\n")]) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_smallest_limit_of_the_groups_counts() {
        const MACHINE: u64 = 24_737_016 * 1024;
        for (files, expected) in [
            // Version 2 in a container, whose own group is at the top.
            (&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "536870912\n")][..], 512 << 20),
            // Version 2 on a host: a service's slice has a limit above that of its group.
            (
                &[
                    ("proc/self/cgroup", "0::/app.slice/worker\n"),
                    ("sys/fs/cgroup/app.slice/memory.max", "1073741824\n"),
                    ("sys/fs/cgroup/app.slice/worker/memory.max", "max\n"),
                ],
                1 << 30,
            ),
            // Version 1, with a path of the host that is not visible.
            (
                &[
                    ("proc/self/cgroup", "5:cpu,cpuacct:/docker/a\n4:memory:/docker/a\n0::/docker/a\n"),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n"),
                ],
                2 << 30,
            ),
            // No limit in either version.
            (&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "max\n")], MACHINE),
            (
                &[
                    ("proc/self/cgroup", "4:memory:/\n"),
                    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ],
                MACHINE,
            ),
            (&[], MACHINE),
        ] {
            assert_eq!(memory_bytes(root(files).path()), Some(expected), "{files:?}");
        }
    }

    #[test]
    fn a_system_without_proc_has_no_known_memory() {
        assert_eq!(memory_bytes(Path::new("/nonexistent")), None);
    }
}
