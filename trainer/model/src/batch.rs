//! A micro-batch: sequences laid end to end in one flat row of tokens.

use crate::Error;

/// Sequences laid end to end. Positions start from 0 in each, and no token attends to another sequence's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// `[T]` token ids of all sequences.
    pub token_ids: Vec<i64>,
    /// Lengths of the sequences, in order; they sum to T.
    pub sequence_lengths: Vec<usize>,
    /// `[N]` rows p of `token_ids` whose next token is a target; strictly ascending.
    pub target_rows: Vec<i64>,
    /// `[N]` the target after each of `target_rows`.
    pub target_ids: Vec<i64>,
}

/// What dropout masks depend on, beside the module, the position and the channel: not on the rank or the place in the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutKey<'a> {
    /// The job's seed.
    pub seed: u64,
    /// The optimizer step.
    pub step: u64,
    /// Of each sequence in the batch, a number that identifies it among all samples of the step.
    pub samples: &'a [u64],
}

impl Batch {
    /// Number of tokens T.
    pub fn tokens(&self) -> usize {
        self.token_ids.len()
    }

    /// What the targets depend on, and the numbers of its sequences: attention is causal, so tokens behind a sequence's last target row and
    /// sequences without one change nothing.
    pub(crate) fn needed(&self) -> (Self, Vec<usize>) {
        let mut needed = Self { target_ids: self.target_ids.clone(), ..Self::default() };
        let mut kept = Vec::new();
        let (mut start, mut rows) = (0, self.target_rows.iter().map(|&row| row as usize).peekable());
        for (number, &length) in self.sequence_lengths.iter().enumerate() {
            let mut end = start;
            while let Some(row) = rows.next_if(|&row| row < start + length) {
                needed.target_rows.push((needed.tokens() + row - start) as i64);
                end = row + 1;
            }
            if end > start {
                needed.token_ids.extend(&self.token_ids[start..end]);
                needed.sequence_lengths.push(end - start);
                kept.push(number);
            }
            start += length;
        }
        (needed, kept)
    }

    /// Checks everything that the kernels trust.
    pub(crate) fn check(&self, vocab_size: usize) -> Result<(), Error> {
        let refuse = |field, value: String, reason: String| Err(Error::Batch { field, value, reason });
        let tokens = self.tokens();
        if tokens == 0 {
            return refuse("token_ids", "[]".to_owned(), "at least one token is needed".to_owned());
        }
        if self.sequence_lengths.iter().sum::<usize>() != tokens || self.sequence_lengths.contains(&0) {
            let reason = format!("the lengths must be positive and sum to the number of tokens, {tokens}");
            return refuse("sequence_lengths", format!("{:?}", self.sequence_lengths), reason);
        }
        let in_vocabulary = |id: &&i64| usize::try_from(**id).is_ok_and(|id| id < vocab_size);
        for (field, ids) in [("token_ids", &self.token_ids), ("target_ids", &self.target_ids)] {
            if let Some(id) = ids.iter().find(|id| !in_vocabulary(id)) {
                return refuse(field, id.to_string(), format!("the vocabulary has ids 0 to {}", vocab_size.saturating_sub(1)));
            }
        }
        if self.target_ids.len() != self.target_rows.len() {
            let reason = format!("there are {} target ids; each row needs one", self.target_ids.len());
            return refuse("target_rows", format!("of length {}", self.target_rows.len()), reason);
        }
        let ascending = self.target_rows.windows(2).all(|pair| pair[0] < pair[1]);
        let in_range = self.target_rows.first().is_none_or(|&row| row >= 0)
            && self.target_rows.last().is_none_or(|&row| usize::try_from(row).is_ok_and(|row| row < tokens));
        if !ascending || !in_range {
            return refuse("target_rows", format!("{:?}", self.target_rows), format!("rows must ascend and be below {tokens}"));
        }
        Ok(())
    }
}

impl DropoutKey<'_> {
    pub(crate) fn check(&self, batch: &Batch) -> Result<(), Error> {
        if self.samples.len() == batch.sequence_lengths.len() {
            return Ok(());
        }
        let reason = format!("the batch has {} sequences; each needs the number of its sample", batch.sequence_lengths.len());
        Err(Error::Batch { field: "dropout.samples", value: format!("of length {}", self.samples.len()), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch { token_ids: vec![1, 2, 3, 4, 5], sequence_lengths: vec![2, 3], target_rows: vec![0, 3], target_ids: vec![2, 5] }
    }

    #[test]
    fn what_follows_the_last_target_is_not_needed() {
        let batch = Batch {
            token_ids: vec![1, 2, 3, 4, 5, 6, 7, 8, 9],
            sequence_lengths: vec![4, 2, 3],
            target_rows: vec![0, 2, 7],
            target_ids: vec![2, 4, 9],
        };
        let needed =
            Batch { token_ids: vec![1, 2, 3, 7, 8], sequence_lengths: vec![3, 2], target_rows: vec![0, 2, 4], target_ids: vec![2, 4, 9] };
        assert_eq!(batch.needed(), (needed.clone(), vec![0, 2]));
        assert_eq!(needed.needed(), (needed, vec![0, 1]));
    }

    #[test]
    fn each_broken_rule_is_named() {
        type Break = fn(&mut Batch);
        let cases: [(&str, Break); 8] = [
            ("token_ids", |batch| batch.token_ids.clear()),
            ("token_ids", |batch| batch.token_ids[1] = 10),
            ("token_ids", |batch| batch.token_ids[1] = -1),
            ("sequence_lengths", |batch| batch.sequence_lengths[1] = 4),
            ("sequence_lengths", |batch| batch.sequence_lengths = vec![5, 0]),
            ("target_ids", |batch| batch.target_ids[0] = 99),
            ("target_rows", |batch| batch.target_rows = vec![3, 3]),
            ("target_rows", |batch| batch.target_rows = vec![0, 5]),
        ];
        batch().check(10).expect("whole");
        for (expected, break_it) in cases {
            let mut broken = batch();
            break_it(&mut broken);
            match broken.check(10) {
                Err(Error::Batch { field, .. }) => assert_eq!(field, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }
}
