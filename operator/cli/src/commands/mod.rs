//! What each command does.

pub mod completion;
pub mod evaluate;
pub mod generate;
pub mod plan;
pub mod run;
pub mod validate;
pub mod version;
