//! The memory used per client on the whole machine, divided into the server process and the kernel. The figures are only
//! valid if no other program allocates or frees memory during the measurement.

use std::fs;
use std::io;

use crate::process::{Process, parse_field};
use crate::workload::Metrics;

/// The memory at one moment, in KiB.
pub struct Snapshot {
    /// `MemFree`, with two corrections that would otherwise amount to megabytes. The page cache counts as free, because
    /// it grows and shrinks independently of the clients. So do the per-CPU lists of free pages, which `MemFree` omits.
    free: f64,
    /// `MemAvailable`, the kernel's estimate. It omits the per-CPU lists too.
    available: f64,
    server: Option<f64>,
    /// Resident memory of the benchmark. It is subtracted, because the buffers of the load generator depend on its
    /// implementation.
    generator: f64,
}

impl Snapshot {
    pub fn take(server: Option<Process>) -> io::Result<Snapshot> {
        let meminfo = fs::read_to_string("/proc/meminfo")?;
        let field = |key| Ok::<_, io::Error>(parse_field(&meminfo, key)? as f64);
        let page_cache = field("Cached:")? + field("Buffers:")?;
        let server = server.map(Process::resident_kib).transpose()?;
        Ok(Snapshot {
            free: field("MemFree:")? + page_cache + per_cpu_lists_kib()?,
            available: field("MemAvailable:")?,
            server: server.map(|kib| kib as f64),
            generator: Process::current().resident_kib()? as f64,
        })
    }

    /// Adds the memory per client that came into use between `before` and this snapshot. The kernel's share includes
    /// both ends of each connection.
    pub fn add_metrics(&self, before: &Snapshot, clients: f64, metrics: &mut Metrics) {
        let generator = self.generator - before.generator;
        let machine = before.free - self.free - generator;
        let available = before.available - self.available - generator;
        metrics.insert("machine_kib_per_client", machine / clients);
        metrics.insert("available_kib_per_client", available / clients);
        if let Some((before, after)) = before.server.zip(self.server) {
            let kernel = machine - (after - before);
            metrics.insert("kernel_kib_per_client", kernel / clients);
        }
    }
}

/// Returns the size of the per-CPU lists of free pages, the sum of all `count` lines of `/proc/zoneinfo`.
fn per_cpu_lists_kib() -> io::Result<f64> {
    let pages: f64 = fs::read_to_string("/proc/zoneinfo")?
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("count:"))
        .filter_map(|count| count.trim().parse::<f64>().ok())
        .sum();
    Ok(pages * rustix::param::page_size() as f64 / 1024.0)
}
