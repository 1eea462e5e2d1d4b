//! The commands beside `train`: what comes before it, after it, and outside a job.

mod base_name;
pub(crate) mod evaluate;
pub(crate) mod generate;
pub(crate) mod inspect;
mod output;
pub(crate) mod prepare;
pub(crate) mod prepared;
pub(crate) mod publish;
