//! What the tests of the whole share: the reference libraries, our binaries, and tensors compared.
//!
//! Nothing here skips: a test whose counterpart is missing fails and says which command installs it.

pub mod binaries;
pub mod job;
pub mod random_model;
pub mod reference;
pub mod run;
pub mod tensors;
