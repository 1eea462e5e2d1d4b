//! Real Kubernetes servers, and what stands around them in tests: a kubelet that is played, a proxy that fails on demand, and the operator
//! as a process.
//!
//! The servers are built by `make setup-kubernetes`. Nothing here skips: a test whose server is missing fails and says which command
//! builds it. Everything listens on loopback and ends with the test process.

mod authority;
mod background;
pub mod binaries;
pub mod control_plane;
pub mod edit;
mod folder;
pub mod helm;
pub mod http;
pub mod kubectl;
pub mod kubelet;
pub mod last_words;
pub mod loopback;
pub mod metrics_page;
pub mod namespace;
pub mod nodes;
pub mod operator;
pub mod process;
pub mod proxy;
pub mod ran;
pub mod wait;

pub use control_plane::ControlPlane;
pub use kubelet::PlayedKubelet;
pub use namespace::Namespace;
pub use nodes::Nodes;
pub use operator::Operator;
pub use proxy::FaultProxy;
