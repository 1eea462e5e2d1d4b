//! What this machine has.

use std::fs;

/// Memory that processes could still get, in bytes (`MemAvailable`); `None` where the system does not say.
pub fn available_memory() -> Option<u64> {
    available_in(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn available_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// This machine's processors, as far as this process may use them.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::available_in;

    #[test]
    fn available_memory_is_read_in_bytes() {
        assert_eq!(available_in("MemTotal:       24 kB\nMemAvailable:   2 kB\n"), Some(2048));
        assert_eq!(available_in("MemTotal:       24 kB\n"), None);
    }
}
