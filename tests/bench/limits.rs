//! The limits of this machine on the number of clients.

use std::fs;

use rustix::process::{Resource, getrlimit};

use crate::process;

/// Open files, processes or threads reserved for the server, the benchmark and the rest of the machine.
const RESERVED: u64 = 200;

/// Memory mappings of a thread: its stack and that of its signal handlers, each with a guard page.
const MAPPINGS_PER_THREAD: u64 = 4;

/// Memory per client in KiB, estimated generously: both ends of a connection with the kernel's buffers, and a thread.
const KIB_PER_CLIENT: u64 = 100;

/// Returns the number of clients this machine allows and the reason, if it is below `requested`.
pub fn cap_clients(requested: u64) -> Option<(u64, String)> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let read_number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let memory =
        read("/proc/meminfo").and_then(|info| process::parse_field(&info, "MemAvailable:").ok());
    let clients_for = |total: u64, per_client: u64| total.saturating_sub(RESERVED) / per_client;
    let nproc = getrlimit(Resource::Nproc).current;
    let half_of = |path| read_number(path).map(|total| clients_for(total / 2, 1));
    [
        (
            "open files (ulimit -n)",
            getrlimit(Resource::Nofile)
                .current
                .map(|total| clients_for(total, 1)),
        ),
        (
            "processes (ulimit -u)",
            nproc.map(|total| clients_for(total, 1)),
        ),
        (
            "threads (half of kernel.threads-max)",
            half_of("/proc/sys/kernel/threads-max"),
        ),
        (
            "threads (half of kernel.pid_max)",
            half_of("/proc/sys/kernel/pid_max"),
        ),
        (
            "threads (pids.max of the cgroup)",
            read_number(&cgroup_path("pids.max")).map(|total| clients_for(total, 1)),
        ),
        (
            "mappings (vm.max_map_count)",
            read_number("/proc/sys/vm/max_map_count")
                .map(|total| clients_for(total, MAPPINGS_PER_THREAD)),
        ),
        (
            "memory (MemAvailable)",
            memory.map(|kib| kib / KIB_PER_CLIENT),
        ),
    ]
    .into_iter()
    .filter_map(|(limit, clients)| Some((clients?, limit)))
    .filter(|(clients, _)| *clients < requested)
    .min()
    .map(|(clients, limit)| {
        let note = format!("{clients} instead of {requested} clients, limited by {limit}");
        (clients, note)
    })
}

/// Returns the path of a file in the cgroup of this process.
fn cgroup_path(file: &str) -> String {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = own.lines().find_map(|line| line.strip_prefix("0::"));
    format!(
        "/sys/fs/cgroup{}/{file}",
        path.unwrap_or("").trim_end_matches('/')
    )
}
