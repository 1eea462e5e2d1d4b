//! What a process calls itself in the Lease.

use rustix::system::uname;

/// A name that no other process has, for where none was given: the machine's, and something random.
///
/// In a cluster the pod's name is given. A container that restarts in its pod then has the name of the one before, which is known to have
/// ended, and leads again without waiting for the Lease to run out.
pub fn of_this_process() -> String {
    format!("{}-{:016x}", uname().nodename().to_string_lossy(), fastrand::u64(..))
}

#[cfg(test)]
mod tests {
    use super::of_this_process;

    #[test]
    fn no_two_are_alike() {
        assert_ne!(of_this_process(), of_this_process());
    }
}
