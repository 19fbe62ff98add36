//! What Linux tells about a process. See proc(5).

use std::fs;
use std::io;
use std::time::Duration;

#[derive(Clone, Copy)]
pub struct Process(pub u32);

impl Process {
    /// This one.
    pub fn own() -> Process {
        Process(std::process::id())
    }

    /// The CPU time it has used, in steps of 10 ms.
    pub fn cpu(self) -> io::Result<Duration> {
        let stat = self.read("stat")?;
        // The program's name, in parentheses, may contain anything.
        let (_, fields) = stat.rsplit_once(')').ok_or_else(missing)?;
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum();
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_nanos(ticks * 1_000_000_000 / per_second))
    }

    /// Memory of its own that is in RAM, in KiB.
    pub fn resident_kib(self) -> io::Result<u64> {
        number(&self.read("status")?, "VmRSS:")
    }

    /// The most of it that there was, in KiB.
    pub fn peak_kib(self) -> io::Result<u64> {
        number(&self.read("status")?, "VmHWM:")
    }

    pub fn threads(self) -> io::Result<u64> {
        number(&self.read("status")?, "Threads:")
    }

    pub fn descriptors(self) -> io::Result<u64> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.0))?.count() as u64)
    }

    /// How often its threads have begun to wait or were made to, those that have ended not counted.
    pub fn switches(self) -> io::Result<u64> {
        let mut all = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            // It may have ended meanwhile.
            if let Ok(status) = fs::read_to_string(task?.path().join("status")) {
                all += number(&status, "voluntary_ctxt_switches:")?;
                all += number(&status, "nonvoluntary_ctxt_switches:")?;
            }
        }
        Ok(all)
    }

    fn read(self, file: &str) -> io::Result<String> {
        let path = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
    }
}

/// The number behind a line's key.
pub fn number(lines: &str, key: &str) -> io::Result<u64> {
    lines
        .lines()
        .find_map(|line| line.strip_prefix(key)?.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .ok_or_else(missing)
}

fn missing() -> io::Error {
    io::Error::other("/proc does not tell what it should")
}
