//! Numbers that JSON cannot say.

use serde::{Deserialize, Deserializer};

/// Reads `null` as NaN: that is how a loss that is not finite is written, since JSON has no word for it.
pub fn nan_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use crate::Event;

    #[test]
    fn an_event_with_a_loss_that_is_not_finite_reads_back() {
        let event = Event::Evaluated { step: 3, validation_loss: f64::INFINITY, target_tokens: 5 };
        match Event::from_line(&event.to_line()) {
            Some(Event::Evaluated { step: 3, validation_loss, target_tokens: 5 }) => assert!(validation_loss.is_nan()),
            other => panic!("{other:?}"),
        }
    }
}
