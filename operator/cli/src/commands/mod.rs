//! What each command does.

pub mod completion;
pub mod evaluate;
pub mod generate;
pub mod version;
