//! A micro-batch without padding: all its sequences one after another.

use crate::token_cache::{Segment, TokenCache};

/// The tokens of a micro-batch in one flat row. Sequences do not see each other: attention is to be cut at `sequence_lengths`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlatBatch {
    /// Token ids of all sequences, T of them.
    pub token_ids: Vec<i64>,
    /// Each token's position in its sequence, from 0; T of them.
    pub position_ids: Vec<i64>,
    /// Tokens of each sequence; they add up to T.
    pub sequence_lengths: Vec<usize>,
    /// Indexes of tokens whose next token (of the same sequence) the loss counts, rising.
    pub target_rows: Vec<i64>,
    /// For each of `target_rows` the id of that next token.
    pub target_ids: Vec<i64>,
}

impl FlatBatch {
    /// The named examples of the cache, in this order; with packing each contributes several sequences.
    pub fn collate(cache: &TokenCache, examples: &[usize]) -> Self {
        let mut batch = Self::default();
        for &example in examples {
            cache.example(example).segments().for_each(|segment| batch.push(segment));
        }
        batch
    }

    /// Adds one sequence at the end. An empty one adds nothing.
    pub fn push(&mut self, segment: Segment<'_>) {
        if segment.ids.is_empty() {
            return;
        }
        let start = self.token_ids.len();
        self.token_ids.extend(segment.ids.iter().map(|&id| i64::from(id)));
        self.position_ids.extend((0..).take(segment.ids.len()));
        self.sequence_lengths.push(segment.ids.len());
        for (place, (&id, &target)) in segment.ids.iter().zip(segment.targets).enumerate().skip(1) {
            if target != 0 {
                self.target_rows.push((start + place - 1) as i64);
                self.target_ids.push(i64::from(id));
            }
        }
    }

    /// Tokens in the batch.
    pub fn tokens(&self) -> usize {
        self.token_ids.len()
    }

    /// Tokens that the loss counts.
    pub fn target_tokens(&self) -> usize {
        self.target_ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::FlatBatch;
    use crate::token_cache::Segment;

    #[test]
    fn targets_point_at_the_token_before_and_never_across_sequences() {
        let mut batch = FlatBatch::default();
        batch.push(Segment { ids: &[5, 6, 7], targets: &[0, 1, 1] });
        batch.push(Segment { ids: &[], targets: &[] });
        batch.push(Segment { ids: &[8, 9], targets: &[1, 1] });
        assert_eq!(batch.token_ids, [5, 6, 7, 8, 9]);
        assert_eq!(batch.position_ids, [0, 1, 2, 0, 1]);
        assert_eq!(batch.sequence_lengths, [3, 2]);
        assert_eq!((batch.target_rows.clone(), batch.target_ids.clone()), (vec![0, 1, 3], vec![6, 7, 9]));
        assert_eq!((batch.tokens(), batch.target_tokens()), (5, 3));
    }
}
