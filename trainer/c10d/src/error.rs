//! What can go wrong between ranks and inside libtorch.

use std::time::Duration;

/// An error of c10d or of a libtorch call, with what was attempted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody answered in time: a rank is late, hung, or was never started.
    #[error("{what} timed out after {} s; check that every rank runs and reaches the same address", after.as_secs_f64())]
    Timeout {
        /// What was attempted.
        what: String,
        /// The deadline that passed.
        after: Duration,
    },
    /// Another process listens on the store's port.
    #[error("cannot host the store: port {port} is in use; choose another port, or 0 to let the system choose")]
    PortInUse {
        /// The port asked for.
        port: u16,
    },
    /// A peer died, closed its connection or refused one.
    #[error("{what} lost a peer: {reason}")]
    PeerLost {
        /// What was attempted.
        what: String,
        /// The first line of c10d's own message.
        reason: String,
    },
    /// An argument that libtorch would misread or refuse.
    #[error("{what} refuses {argument}: {reason}")]
    Argument {
        /// The function called.
        what: &'static str,
        /// The argument's name.
        argument: &'static str,
        /// The rule it breaks, with the value it has.
        reason: String,
    },
    /// Any other error that libtorch raised.
    #[error("{what} failed: {reason}")]
    Libtorch {
        /// What was attempted.
        what: String,
        /// The first line of libtorch's own message.
        reason: String,
    },
}

impl Error {
    /// Reads an exception as `bridge.h` writes it: the first byte is the kind, the rest the message's first line.
    pub(crate) fn from_exception(what: impl Into<String>, after: Duration, exception: &cxx::Exception) -> Self {
        Self::from_message(what.into(), after, exception.what())
    }

    /// As [`Error::from_exception`], for a call that waits for nobody.
    pub(crate) fn from_local_exception(what: &str, exception: &cxx::Exception) -> Self {
        Self::from_message(what.to_owned(), Duration::ZERO, exception.what())
    }

    fn from_message(what: String, after: Duration, message: &str) -> Self {
        let (kind, reason) = message.split_at_checked(1).unwrap_or(("O", message));
        let reason = reason.to_owned();
        let lower = reason.to_ascii_lowercase();
        // Gloo, NCCL and TCPStore raise several classes for a passed deadline; their texts agree on these words.
        if ["timed out", "timeout after", "socket timeout", "wait timeout"].iter().any(|words| lower.contains(words)) {
            return Self::Timeout { what, after };
        }
        let gloo_transport = reason.contains("gloo/transport/");
        if kind == "N" || gloo_transport { Self::PeerLost { what, reason } } else { Self::Libtorch { what, reason } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &str) -> Error {
        Error::from_message("all-reduce".into(), Duration::from_secs(2), message)
    }

    #[test]
    fn a_passed_deadline_is_a_timeout_whatever_class_raised_it() {
        let timeout = Error::Timeout { what: "all-reduce".into(), after: Duration::from_secs(2) };
        assert_eq!(read("OOperation timed out!"), timeout);
        assert_eq!(read("NWait timeout after 2000ms, with keys: /0"), timeout);
        assert_eq!(read("O[/x/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 2000ms for recv operation"), timeout);
    }

    #[test]
    fn network_errors_name_the_lost_peer_and_others_keep_their_text() {
        assert!(matches!(read("O[/x/gloo/transport/tcp/pair.cc:525] Connection closed by peer [127.0.0.1]:1"), Error::PeerLost { .. }));
        assert!(matches!(read("Nfailed to recv, got 0 bytes"), Error::PeerLost { .. }));
        assert_eq!(read("Obad shape").to_string(), "all-reduce failed: bad shape");
        assert_eq!(read("").to_string(), "all-reduce failed: ");
    }
}
