//! Generating text, one token at a time with cached keys and values.

use crate::random::Stream;
use crate::{Error, Model};

pub use temper_contract::request::Sampling;

/// The tokens that continue a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// New tokens, without the stop token.
    pub token_ids: Vec<u32>,
    /// The stop token that ended it; none when the length did.
    pub stop_id: Option<u32>,
}

impl Model {
    /// Continues one prompt until a token of `stop_ids` comes or `max_new_tokens` are there. `on_token` sees each new token but the stop token.
    pub fn generate(
        &mut self,
        prompt_ids: &[u32],
        sampling: &Sampling,
        max_new_tokens: usize,
        stop_ids: &[u32],
        on_token: &mut dyn FnMut(u32),
    ) -> Result<Answer, Error> {
        let _guard = tch::no_grad_guard();
        let mut choice = Choice::new(sampling)?;
        let mut token_ids: Vec<u32> = Vec::new();
        let mut cache = self.cache(prompt_ids.len() + max_new_tokens)?;
        let mut next: Vec<i64> = prompt_ids.iter().copied().map(i64::from).collect();
        while token_ids.len() < max_new_tokens {
            let logits = self.next_logits(&next, &mut cache)?;
            let id = choice.choose(logits);
            if stop_ids.contains(&id) {
                return Ok(Answer { token_ids, stop_id: Some(id) });
            }
            on_token(id);
            token_ids.push(id);
            next = vec![i64::from(id)];
        }
        Ok(Answer { token_ids, stop_id: None })
    }
}

/// Chooses tokens from logits, in the order of transformers' `generate`: temperature, top k, top p.
struct Choice {
    sampling: Sampling,
    stream: Stream,
    drawn: u64,
}

impl Choice {
    fn new(sampling: &Sampling) -> Result<Self, Error> {
        let refuse = |field, value: String, reason: &str| Err(Error::Setting { field, value, reason: reason.to_owned() });
        if !(sampling.temperature >= 0.0 && sampling.temperature.is_finite()) {
            return refuse("sampling.temperature", sampling.temperature.to_string(), "it must be 0 (the likeliest token) or above");
        }
        if let Some(top_p) = sampling.top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return refuse("sampling.topP", top_p.to_string(), "it must be above 0 and at most 1");
        }
        Ok(Self { sampling: sampling.clone(), stream: Stream::new(&[sampling.seed]), drawn: 0 })
    }

    fn choose(&mut self, mut logits: Vec<f32>) -> u32 {
        if self.sampling.temperature == 0.0 {
            return likeliest(&logits);
        }
        for logit in &mut logits {
            *logit /= self.sampling.temperature as f32;
        }
        // Likeliest first; equal ones by id, so that the order is fixed.
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        let by_logit = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        if let Some(k) = self.sampling.top_k.filter(|&k| k > 0 && k < order.len()) {
            order.select_nth_unstable_by(k - 1, by_logit);
            order.truncate(k);
        }
        order.sort_unstable_by(by_logit);
        let highest = f64::from(logits[order[0] as usize]);
        let weights: Vec<f64> = order.iter().map(|&id| (f64::from(logits[id as usize]) - highest).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut kept = weights.len(); // at least one
        if let Some(top_p) = self.sampling.top_p.filter(|&p| p < 1.0) {
            // A token stays while those likelier than it do not yet reach top p together.
            let mut before = 0.0;
            kept = 0;
            while kept < weights.len() && before < top_p * total {
                before += weights[kept];
                kept += 1;
            }
        }
        let mut left = self.stream.uniform_f64(self.drawn) * weights[..kept].iter().sum::<f64>();
        self.drawn += 1;
        let chosen = weights[..kept].iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        order[chosen.unwrap_or(kept - 1)]
    }
}

/// The first of the highest.
fn likeliest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    best as u32
}
