//! Processes that this one has not started, but has to bury: in a container it is process 1, to which every orphan is given.

use super::rank_process::RankProcess;
use rustix::process::{Pid, WaitOptions, getpid, waitpid};

/// Buries orphans that have ended. Anywhere but in process 1 there are none.
pub(super) fn reap(ranks: &[RankProcess]) {
    let own = getpid();
    if !own.is_init() {
        return;
    }
    // Orphans go to the first thread, which has also started the ranks.
    let children = std::fs::read_to_string(format!("/proc/self/task/{}/children", own.as_raw_nonzero())).unwrap_or_default();
    for pid in children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
        if !ranks.iter().any(|rank| rank.pid() == pid) {
            // It fails only when it is not a child any more.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}
