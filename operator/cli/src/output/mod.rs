//! What people and machines see.

pub mod bars;
pub mod format;
pub mod lines;
pub mod pace;
pub mod phrase;
pub mod progress;
pub mod quantity;
pub mod table;
pub mod terminal;
