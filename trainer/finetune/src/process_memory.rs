//! How much memory this process uses, from `/proc/self/status`.

/// Resident now; 0 where the system does not say.
pub(crate) fn resident_bytes() -> u64 {
    field("VmRSS:")
}

/// The most that was ever resident; 0 where the system does not say.
pub(crate) fn peak_resident_bytes() -> u64 {
    field("VmHWM:")
}

fn field(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_peak_is_at_least_what_is_resident() {
        let resident = super::resident_bytes();
        assert!(resident > 0 && super::peak_resident_bytes() >= resident);
    }
}
