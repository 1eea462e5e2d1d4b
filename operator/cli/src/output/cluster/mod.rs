//! Objects of a cluster as people read them. Values in, text out: nothing here asks a server, a clock or a terminal.

pub mod age;
pub mod columns;
pub mod facts;
pub mod gauge;
pub mod happening;
pub mod holding;
pub mod job_rows;
pub mod job_story;
pub mod log_line;
pub mod next_steps;
pub mod preview_text;
pub mod timeline;
pub mod tries;
pub mod version_rows;
pub mod version_story;
pub mod when;
