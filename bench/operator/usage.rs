//! CPU time and memory of a process, from /proc.

use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;

/// What a process has used so far and holds now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time of its threads, by the scheduler's own count in nanoseconds: /proc/PID/stat counts in hundredths of a second, several
    /// lives' worth. A thread that has ended is not in it; neither controller ends threads while it works.
    pub(crate) cpu: Duration,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
    /// Of it, memory that no file backs.
    pub(crate) anonymous: u64,
    /// The most that was ever resident.
    pub(crate) peak: u64,
}

impl Usage {
    /// Of a running process.
    pub(crate) fn of(id: u32) -> Result<Self> {
        let process = Path::new("/proc").join(id.to_string());
        let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(process.join("task")).with_context(|| format!("process {id} is gone"))? {
            let path = task?.path().join("schedstat");
            // A thread that has ended since is not counted, as none that ended before is.
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            nanoseconds += running_time(&text).with_context(|| format!("{} has no running time", path.display()))?;
        }
        let status = read(&process.join("status"))?;
        let bytes = |name: &str| kilobytes(&status, name).map(|count| count * 1024).with_context(|| format!("process {id} has no {name}"));
        Ok(Self { cpu: Duration::from_nanos(nanoseconds), resident: bytes("VmRSS")?, anonymous: bytes("RssAnon")?, peak: bytes("VmHWM")? })
    }
}

/// The first number of a schedstat: nanoseconds on a CPU.
fn running_time(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Usage, kilobytes, running_time};

    #[test]
    fn what_the_kernel_says_is_read() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssAnon:\t     512 kB\n";
        assert_eq!((kilobytes(status, "VmRSS"), kilobytes(status, "VmHWM"), kilobytes(status, "Vm")), (Some(1024), Some(2048), None));
        assert_eq!((running_time("181348475 27032768 368\n"), running_time("")), (Some(181_348_475), None));
        let own = Usage::of(std::process::id()).expect("this process runs");
        assert!(own.cpu.as_nanos() > 0 && own.resident > own.anonymous && own.peak >= own.resident);
    }
}
