//! Places at which a fault test may kill this process, as the trainer has them too.

use rustix::process::{Signal, getpid, kill_process};

/// The version is complete under a temporary name.
pub const REGISTER_BEFORE_RENAME: &str = "register.before_rename";
/// The version has its number, the run does not know of it yet.
pub const REGISTER_AFTER_RENAME: &str = "register.after_rename";
/// A stage's process has ended, its end is not written down.
pub const STAGE_ENDED: &str = "run.stage_ended";
/// A try is written down, its processes are not started.
pub const STAGE_STARTING: &str = "run.stage_starting";

/// Every kill point of this program, for fault tests; the trainer has its own.
pub const ALL: [&str; 4] = [REGISTER_BEFORE_RENAME, REGISTER_AFTER_RENAME, STAGE_ENDED, STAGE_STARTING];

/// Dies here by SIGKILL if `TEMPER_KILL_AT` names this place.
pub fn point(name: &str) {
    if std::env::var_os(temper_contract::env::KILL_AT).is_some_and(|place| place == name) {
        let _ = kill_process(getpid(), Signal::KILL);
    }
}
