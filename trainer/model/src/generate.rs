//! Generating text, one token at a time with cached keys and values.

/// How the next token is chosen; the contract's own type.
pub use temper_contract::request::Sampling;

/// The tokens that continue a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// New tokens, without the stop token.
    pub token_ids: Vec<u32>,
    /// The stop token that ended it; none when the length did.
    pub stop_id: Option<u32>,
}
