//! Ends this process with its parent, so that killing the head of a run leaves nothing behind.

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use std::io;
use temper_contract::env;

/// From now on the system kills this process when the thread that started it ends. If the parent has gone already, this is an error.
pub(crate) fn die_with_parent() -> io::Result<()> {
    let before = getppid();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A parent that died before the call sends no signal any more; its child has got another parent.
    let after = getppid();
    let expected = std::env::var(env::PARENT_PID).ok().and_then(|text| text.parse::<i32>().ok());
    let adopted = expected.is_some_and(|expected| after.map(|pid| pid.as_raw_nonzero().get()) != Some(expected));
    if before != after || adopted {
        return Err(io::Error::other("the process that started this one has ended"));
    }
    Ok(())
}
