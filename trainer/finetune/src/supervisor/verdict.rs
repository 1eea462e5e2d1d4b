//! What becomes of a generation. All supervisors agree on one verdict: the first that is put in the store.

use serde::{Deserialize, Serialize};
use temper_contract::TerminationMessage;

/// How a generation of ranks ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Verdict {
    /// Every rank of this node finished.
    Done,
    /// The ranks stopped on a signal, with a checkpoint.
    Terminated,
    /// Something that another try may get past.
    Restart {
        /// Which rank or node, and what became of it.
        reason: String,
        /// Whether all that is known is that a peer has gone.
        peer_lost: bool,
    },
    /// Something that another try cannot get past.
    Fail(TerminationMessage),
}
