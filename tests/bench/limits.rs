//! How many clients this machine allows, and what allows no more.

use std::fs;

use rustix::process::{Resource, getrlimit};

use crate::process;

/// For the two processes themselves, and for what else runs here.
const SPARE: u64 = 200;

/// A thread's stack and its guard page.
const MAPPINGS_PER_THREAD: u64 = 2;

/// Both ends of a connection with the kernel's buffers, and a thread: generously.
const KIB_PER_CLIENT: u64 = 100;

/// How many clients there can be, where fewer than wanted, and why.
pub fn lowered(wanted: u64) -> Option<(u64, String)> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let file = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let memory =
        read("/proc/meminfo").and_then(|info| process::number(&info, "MemAvailable:").ok());
    let left = |all: u64, each: u64| all.saturating_sub(SPARE) / each;
    let nproc = getrlimit(Resource::Nproc).current;
    let half = |path| file(path).map(|all| left(all / 2, 1));
    [
        (
            "open files (ulimit -n)",
            getrlimit(Resource::Nofile).current.map(|all| left(all, 1)),
        ),
        ("processes (ulimit -u)", nproc.map(|all| left(all, 1))),
        (
            "threads (half of kernel.threads-max)",
            half("/proc/sys/kernel/threads-max"),
        ),
        (
            "threads (half of kernel.pid_max)",
            half("/proc/sys/kernel/pid_max"),
        ),
        (
            "threads (pids.max of the cgroup)",
            file(&cgroup("pids.max")).map(|all| left(all, 1)),
        ),
        (
            "mappings (vm.max_map_count)",
            file("/proc/sys/vm/max_map_count").map(|all| left(all, MAPPINGS_PER_THREAD)),
        ),
        (
            "memory (MemAvailable)",
            memory.map(|kib| kib / KIB_PER_CLIENT),
        ),
    ]
    .into_iter()
    .filter_map(|(what, most)| Some((most?, what)))
    .filter(|(most, _)| *most < wanted)
    .min()
    .map(|(most, what)| (most, format!("{most} instead of {wanted} clients: {what}")))
}

/// A file of this process's cgroup.
fn cgroup(file: &str) -> String {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = own.lines().find_map(|line| line.strip_prefix("0::"));
    format!(
        "/sys/fs/cgroup{}/{file}",
        path.unwrap_or("").trim_end_matches('/')
    )
}
