//! Reading data rows: which files, which lines, and what a line means.

mod alpaca;
mod line;
mod message;
mod parse;
mod reader;
mod shards;

pub use line::MAX_LINE_BYTES;
pub use message::MAX_MESSAGES;
pub use parse::Row;
pub use reader::{Place, RowReader};
pub use shards::{Shard, Shards};
