//! What the system allows a process, compared with what clients can take.

#[cfg(target_os = "linux")]
use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for other uses than clients: the listener, the log, and clients that are being rejected.
const RESERVED_FDS: u64 = 128;

/// The memory mappings that a client can take: three threads (its own, its request's, its writer), and for each a stack and
/// another one for signal handlers, with a guard page each.
#[cfg(target_os = "linux")]
const MAPPINGS_PER_CLIENT: usize = 3 * 4;

/// Raises the limit of open files for this number of connections, as far as the system allows it: one for each WebSocket,
/// one for each pending request, and [`RESERVED_FDS`].
pub fn raise_nofile(max_connections: usize) {
    let connections = max_connections as u64;
    let requested = connections.saturating_mul(2).saturating_add(RESERVED_FDS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let granted = maximum.map_or(requested, |maximum| maximum.min(requested));
    if current.is_some_and(|current| current < granted)
        && let Err(error) = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(granted),
                maximum,
            },
        )
    {
        log::warn!("cannot raise the limit of open files: {error}");
    }
    if granted < connections.saturating_add(RESERVED_FDS) {
        log::warn!(
            "{granted} open files are allowed (ulimit -n): too few for --max-connections {max_connections}"
        );
    }
}

/// Warns if this number of clients can take more memory mappings than the system allows. A thread without a mapping for its
/// stack is not started, and its client is refused; one without a mapping for its signal handlers aborts the program.
#[cfg(target_os = "linux")]
pub fn check_mappings(max_connections: usize) {
    let allowed = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    let allowed = allowed.and_then(|number| number.trim().parse::<usize>().ok());
    let needed = max_connections.saturating_mul(MAPPINGS_PER_CLIENT);
    if let Some(allowed) = allowed
        && allowed < needed
    {
        log::warn!(
            "{allowed} memory mappings are allowed (vm.max_map_count): too few for --max-connections {max_connections}, which can abort the program"
        );
    }
}
