//! What the API server accepts and refuses of our resources.

mod bounds;
mod edits;
mod rules;
mod samples;
mod subject;
