//! From data rows to batches of tokens: readers, filters, chat templates, tokenisation, packing, a token cache on disk, and the order in
//! which training sees it all. Links no torch.
//!
//! [`prepare`] does the whole way for a job and leaves [`TokenCache`]s behind; [`sampler::Plan`] says which examples each step takes and
//! [`FlatBatch::collate`] lays them out for the model.
//!
//! Rows are read, checked and filtered one at a time, in order ([`rows`], [`filters`]), and tokenised in blocks by all processors
//! ([`example`]), so memory stays bounded whatever the size of the data.

mod error;
pub mod example;
pub mod filters;
mod flat_batch;
pub mod packing;
mod prepare;
mod random;
pub mod rejections;
pub mod rows;
pub mod sampler;
pub mod template;
#[cfg(test)]
mod testing;
mod token_cache;
mod tokenizer;

pub use error::Error;
pub use flat_batch::FlatBatch;
pub use prepare::{prepare, tokenise};
pub use template::{ChatTemplate, Conversation};
pub use token_cache::{Example, Manifest, Segment, TokenCache, Writer};
pub use tokenizer::{Detokenizer, Encoding, SpecialTokens, Tokenizer, write_tokenizer_files};
