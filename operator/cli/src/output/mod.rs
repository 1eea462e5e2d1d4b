//! What people and machines see.

pub mod answers;
pub mod aside;
pub mod bars;
pub mod cluster;
pub mod forecast_text;
pub mod format;
pub mod lines;
pub mod live;
pub mod pace;
pub mod phrase;
pub mod progress;
pub mod quantity;
pub mod summary_text;
pub mod table;
pub mod terminal;
