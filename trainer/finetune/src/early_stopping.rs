//! Whether training has stopped helping. Decides only; the loop acts.

use serde::{Deserialize, Serialize};

/// The lowest validation loss so far, and how long ago it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EarlyStopping {
    /// The lowest loss.
    pub(crate) best_loss: Option<f64>,
    /// Evaluations since then.
    pub(crate) evaluations_without_improvement: u64,
}

impl EarlyStopping {
    /// Takes in an evaluation. A loss that is not a number is no improvement.
    pub(crate) fn observe(&mut self, loss: f64) {
        if self.best_loss.is_none_or(|best| loss < best) && !loss.is_nan() {
            *self = Self { best_loss: Some(loss), evaluations_without_improvement: 0 };
        } else {
            self.evaluations_without_improvement += 1;
        }
    }

    /// Whether to stop: `patience` evaluations in a row were no improvement.
    pub(crate) fn is_over(&self, patience: Option<u64>) -> bool {
        patience.is_some_and(|patience| self.evaluations_without_improvement >= patience.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::EarlyStopping;

    fn stops_after(losses: &[f64], patience: Option<u64>) -> Option<usize> {
        let mut state = EarlyStopping::default();
        losses.iter().position(|&loss| {
            state.observe(loss);
            state.is_over(patience)
        })
    }

    #[test]
    fn stops_after_patience_evaluations_without_improvement() {
        let table: [(&[f64], Option<u64>, Option<usize>); 6] = [
            (&[3.0, 2.0, 2.0, 2.5], Some(2), Some(3)),
            (&[3.0, 2.0, 2.5, 1.9, 2.0], Some(2), None),
            (&[3.0, 3.0], Some(1), Some(1)),
            (&[3.0, f64::NAN, f64::NAN], Some(2), Some(2)),
            (&[f64::NAN, 3.0, 2.0], Some(2), None),
            (&[3.0, 4.0, 5.0, 6.0], None, None),
        ];
        for (losses, patience, expected) in table {
            assert_eq!(stops_after(losses, patience), expected, "{losses:?} {patience:?}");
        }
    }
}
