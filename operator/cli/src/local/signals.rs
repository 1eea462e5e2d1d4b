//! Ctrl-C, SIGTERM and SIGHUP as messages.

use crate::local::process::Message;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::sync::mpsc::Sender;

/// Tells of signals while it lives.
pub struct Watch {
    handle: Handle,
}

impl Watch {
    /// From now on an interrupting signal no longer ends the process but is told.
    pub fn start(messages: Sender<Message>) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for _ in signals.forever() {
                if messages.send(Message::Interrupt).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { handle })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.handle.close();
    }
}
