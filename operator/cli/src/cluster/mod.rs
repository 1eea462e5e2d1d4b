//! What `temper` does with a cluster: it reads what the operator writes, and changes two fields of a spec.
//!
//! Here are the edges: what is asked of the API server. What is shown is decided in `output::cluster`, from values alone.

pub mod access;
pub mod complete;
pub mod describe;
pub mod events;
pub mod get;
pub mod hold;
pub mod kind;
pub mod logs;
pub mod lookup;
pub mod preview;
pub mod refusal;
pub mod resize;
pub mod target;
pub mod waiting;
pub mod watch;
