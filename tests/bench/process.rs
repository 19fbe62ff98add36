//! Resource usage of a process, read from `/proc`. See proc(5).

use std::fs;
use std::io;
use std::time::Duration;

/// A process, by its PID.
#[derive(Clone, Copy)]
pub struct Process(pub u32);

impl Process {
    /// Returns the current process.
    pub fn current() -> Process {
        Process(std::process::id())
    }

    /// Returns the CPU time used so far, with a resolution of 10 ms.
    pub fn cpu_time(self) -> io::Result<Duration> {
        let stat = self.read("stat")?;
        // The program's name, in parentheses, can contain any character.
        let (_, fields) = stat.rsplit_once(')').ok_or_else(unexpected_format)?;
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum();
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_nanos(ticks * 1_000_000_000 / per_second))
    }

    /// Returns the CPU time of the threads that are still running, with a resolution of less than 1 ms.
    pub fn threads_cpu_time(self) -> io::Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            // A thread can end between the listing and the read.
            if let Ok(stat) = fs::read_to_string(task?.path().join("schedstat")) {
                let on_cpu = stat.split_whitespace().next();
                let on_cpu = on_cpu.and_then(|nanos| nanos.parse::<u64>().ok());
                nanos += on_cpu.ok_or_else(unexpected_format)?;
            }
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Returns the resident memory in KiB.
    pub fn resident_kib(self) -> io::Result<u64> {
        parse_field(&self.read("status")?, "VmRSS:")
    }

    /// Returns the peak of the resident memory in KiB.
    pub fn peak_kib(self) -> io::Result<u64> {
        parse_field(&self.read("status")?, "VmHWM:")
    }

    /// Returns the number of threads.
    pub fn threads(self) -> io::Result<u64> {
        parse_field(&self.read("status")?, "Threads:")
    }

    /// Returns the number of open file descriptors.
    pub fn descriptors(self) -> io::Result<u64> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.0))?.count() as u64)
    }

    /// Returns the context switches, voluntary and involuntary, of the threads that are still running.
    pub fn context_switches(self) -> io::Result<u64> {
        let mut total = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            // A thread can end between the listing and the read.
            if let Ok(status) = fs::read_to_string(task?.path().join("status")) {
                total += parse_field(&status, "voluntary_ctxt_switches:")?;
                total += parse_field(&status, "nonvoluntary_ctxt_switches:")?;
            }
        }
        Ok(total)
    }

    fn read(self, file: &str) -> io::Result<String> {
        let path = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
    }
}

/// Returns the number after `key` at the start of a line.
pub fn parse_field(lines: &str, key: &str) -> io::Result<u64> {
    lines
        .lines()
        .find_map(|line| line.strip_prefix(key)?.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .ok_or_else(unexpected_format)
}

fn unexpected_format() -> io::Error {
    io::Error::other("unexpected format of a file in /proc")
}
