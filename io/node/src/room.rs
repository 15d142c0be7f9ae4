//! How much memory a node may fill, unless it is told.
//!
//! A process that takes more than there is gets killed; then the nodes that take over what it held have more
//! than before, and are the next. So there is a limit from the start: half of what this process may have. The
//! other half is for the app, for what the allocator needs beside what is counted here, and for what another
//! node held when it dies.

use std::fs;
use std::path::{Path, PathBuf};

/// Half of the machine's memory, or of what the control groups of this process allow if that is less, in
/// bytes. No limit if the system says neither.
pub(crate) fn default_bytes() -> usize {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| machine_bytes(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = group_files(&groups).into_iter().filter_map(|file| group_bytes(&file));
    let least = limits.chain(machine).min();
    least.map_or(usize::MAX, |bytes| usize::try_from(bytes / 2).unwrap_or(usize::MAX))
}

/// From `/proc/meminfo` (proc(5)): `MemTotal:       24684212 kB`.
fn machine_bytes(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A limit of a control group; none if the file is not there or says `max`.
fn group_bytes(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The files that hold the limits of these groups and of those that they are in, as `/proc/self/cgroup` lists
/// the groups of a process (cgroups(7)): `0::/system.slice/app.service` in version 2, and in version 1
/// `4:memory:/app`, where no limit is a number that no machine has.
fn group_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = Path::new(group.trim_start_matches('/'));
        files.extend(group.ancestors().map(|group| Path::new(root).join(group).join(name)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_machine_is_read_in_kibibytes() {
        let text = "MemTotal:       24684212 kB\nMemFree:         15839364 kB\n";
        assert_eq!(machine_bytes(text), Some(24_684_212 * 1024));
        for text in
            ["", "MemTotal:", "MemTotal: 5", "MemTotal: x kB", "MemTotal: 18446744073709551615 kB"]
        {
            assert_eq!(machine_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn each_group_that_a_process_is_in_is_asked_for_its_limit() {
        let files = |text| -> Vec<String> {
            group_files(text).iter().map(|file| file.display().to_string()).collect()
        };
        let second = ["system.slice/app.service/", "system.slice/", ""];
        let second = second.map(|group| format!("/sys/fs/cgroup/{group}memory.max"));
        assert_eq!(files("0::/system.slice/app.service\n"), second);
        let first = ["app/", ""];
        let first =
            first.map(|group| format!("/sys/fs/cgroup/memory/{group}memory.limit_in_bytes"));
        assert_eq!(files("8:pids:/x\n4:hugetlb,memory:/app\n1:name=systemd:/\n"), first);
        assert_eq!(files("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        assert!(files("no line\n\n5\n").is_empty());
    }

    #[test]
    fn a_machine_says_how_much_there_is() {
        assert!((1 << 20..usize::MAX).contains(&default_bytes()), "{}", default_bytes());
    }
}
