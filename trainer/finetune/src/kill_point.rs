//! Places at which a fault test can kill the process: just before and after each commit.
//!
//! `TEMPER_KILL_AT=NAME` kills this process by SIGKILL the first time it comes to NAME, `NAME@3` the third time, and `group:NAME@3` its
//! whole process group (the supervisor, every rank, and whoever started them in that group). The supervisor hands the variable only to
//! the first generation of ranks, so that what is restarted survives. Unset, a kill point costs one load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use temper_contract::env;

/// The token cache is complete, its report is not written.
pub const PREPARE_REPORT: &str = "prepare.report";
/// A checkpoint's files are durable under a temporary name.
pub const CHECKPOINT_BEFORE_RENAME: &str = "checkpoint.before_rename";
/// A checkpoint's folder has its name, but no manifest.
pub const CHECKPOINT_BEFORE_MANIFEST: &str = "checkpoint.before_manifest";
/// A checkpoint is committed, older ones are not yet removed.
pub const CHECKPOINT_AFTER_MANIFEST: &str = "checkpoint.after_manifest";
/// The manifest of an outdated checkpoint is removed, its files are not.
pub const CHECKPOINT_REMOVING: &str = "checkpoint.removing";
/// A step's update is applied, nothing of it is written.
pub const STEP_APPLIED: &str = "train.step_applied";
/// A step's line is in the step log, nothing else of it is.
pub const STEP_LOGGED: &str = "train.step_logged";
/// The final checkpoint is committed, `train`'s report is not written.
pub const TRAIN_REPORT: &str = "train.report";
/// The model is complete and checked under a temporary name.
pub const PUBLISH_BEFORE_RENAME: &str = "publish.before_rename";
/// The model that had the output's name, if there was one, has another; the new one does not have it yet.
pub const PUBLISH_REPLACING: &str = "publish.replacing";
/// The model has its name, `publish`'s report is not written.
pub const PUBLISH_REPORT: &str = "publish.report";

/// Every kill point, for fault tests.
pub const ALL: [&str; 11] = [
    PREPARE_REPORT,
    CHECKPOINT_BEFORE_RENAME,
    CHECKPOINT_BEFORE_MANIFEST,
    CHECKPOINT_AFTER_MANIFEST,
    CHECKPOINT_REMOVING,
    STEP_APPLIED,
    STEP_LOGGED,
    TRAIN_REPORT,
    PUBLISH_BEFORE_RENAME,
    PUBLISH_REPLACING,
    PUBLISH_REPORT,
];

/// Dies here if the environment says so.
pub fn kill_point(name: &str) {
    static ORDER: OnceLock<Option<Order>> = OnceLock::new();
    static VISITS: AtomicU64 = AtomicU64::new(0);
    let Some(order) = ORDER.get_or_init(|| std::env::var(env::KILL_AT).ok().map(|text| Order::parse(&text))) else { return };
    if order.name != name || VISITS.fetch_add(1, Ordering::Relaxed) + 1 != order.visit {
        return;
    }
    use rustix::process::{Signal, getpid, kill_current_process_group, kill_process};
    // Sending SIGKILL to oneself succeeds and does not return; should it fail, the test that asked for it sees a live process.
    let _ = if order.group { kill_current_process_group(Signal::KILL) } else { kill_process(getpid(), Signal::KILL) };
}

#[derive(Debug, PartialEq, Eq)]
struct Order {
    name: String,
    visit: u64,
    group: bool,
}

impl Order {
    fn parse(text: &str) -> Self {
        let (group, rest) = text.strip_prefix("group:").map_or((false, text), |rest| (true, rest));
        let (name, visit) = rest.split_once('@').unwrap_or((rest, "1"));
        Self { name: name.to_owned(), visit: visit.parse().unwrap_or(1), group }
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, Order};

    #[test]
    fn an_order_names_a_place_and_a_visit() {
        let order = |name: &str, visit, group| Order { name: name.to_owned(), visit, group };
        assert_eq!(Order::parse("a.b"), order("a.b", 1, false));
        assert_eq!(Order::parse("a.b@3"), order("a.b", 3, false));
        assert_eq!(Order::parse("group:a.b@2"), order("a.b", 2, true));
    }

    #[test]
    fn names_are_distinct() {
        assert!(ALL.iter().enumerate().all(|(index, name)| !ALL[..index].contains(name)));
    }
}
