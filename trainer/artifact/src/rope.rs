//! Rotary position embeddings' frequency scaling.

use crate::Error;
use crate::json_file::{JsonObject, number};
use serde_json::{Map, Value, json};

/// How the rotary frequencies `theta^(-2i/d)`, `i` in `0..d/2`, are changed for long contexts.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Every frequency is divided by the factor (Chen et al. 2023, position interpolation).
    Linear {
        /// At least 1 in practice.
        factor: f64,
    },
    /// Llama 3.1: low frequencies are divided by the factor, high ones kept, those between blended.
    Llama3 {
        /// Divides low frequencies.
        factor: f64,
        /// Wavelengths above `original_max_position_embeddings / low_freq_factor` are low-frequency.
        low_freq_factor: f64,
        /// Wavelengths below `original_max_position_embeddings / high_freq_factor` are high-frequency.
        high_freq_factor: f64,
        /// Context length of pre-training.
        original_max_position_embeddings: usize,
    },
    /// Frequency `i` is divided by the i-th of these `d/2` numbers: a GGUF file's `rope_freqs.weight` that is not Llama 3.1's.
    FrequencyFactors(Vec<f32>),
}

impl RopeScaling {
    /// What each of the `head_dim / 2` frequencies `theta^(-2i/head_dim)` is divided by, computed as transformers (and llama.cpp's
    /// converter) compute it.
    pub fn frequency_divisors(&self, theta: f64, head_dim: usize) -> Vec<f64> {
        let half = head_dim / 2;
        match self {
            RopeScaling::None => vec![1.0; half],
            RopeScaling::Linear { factor } => vec![*factor; half],
            RopeScaling::FrequencyFactors(factors) => factors.iter().map(|&factor| f64::from(factor)).collect(),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                let original = *original_max_position_embeddings as f64;
                let divisor = |i: usize| {
                    let frequency = theta.powf(-(2.0 * i as f64) / head_dim as f64);
                    let wavelength = 2.0 * std::f64::consts::PI / frequency;
                    if wavelength < original / high_freq_factor {
                        1.0
                    } else if wavelength > original / low_freq_factor {
                        *factor
                    } else {
                        let smooth = (original / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
                        1.0 / ((1.0 - smooth) / factor + smooth)
                    }
                };
                (0..half).map(divisor).collect()
            }
        }
    }

    /// The scaling whose divisors a GGUF file lists, as Llama 3.1's parameters where they give the same divisors: only these can be
    /// written into a config.json.
    pub(crate) fn from_frequency_factors(factors: Vec<f32>, theta: f64, head_dim: usize) -> RopeScaling {
        // The converter works in fp32, whose rounding the blend between the bands magnifies.
        let close = |a: f64, b: f32| (a - f64::from(b)).abs() <= 1e-4 * a.abs();
        if factors.iter().all(|&factor| close(1.0, factor)) {
            return RopeScaling::None;
        }
        let candidate = RopeScaling::Llama3 {
            factor: f64::from(factors.last().copied().unwrap_or(1.0)),
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        };
        let divisors = candidate.frequency_divisors(theta, head_dim);
        let same = divisors.len() == factors.len() && divisors.iter().zip(&factors).all(|(&a, &b)| close(a, b));
        if same { candidate } else { RopeScaling::FrequencyFactors(factors) }
    }

    /// The `rope_parameters` object of config.json; none for factors that it has no words for.
    pub(crate) fn to_rope_parameters(&self, theta: f64) -> Option<Value> {
        match self {
            RopeScaling::None => Some(json!({"rope_theta": theta, "rope_type": "default"})),
            RopeScaling::Linear { factor } => Some(json!({"factor": factor, "rope_theta": theta, "rope_type": "linear"})),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => Some(json!({
                "factor": factor,
                "high_freq_factor": high_freq_factor,
                "low_freq_factor": low_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
                "rope_theta": theta,
                "rope_type": "llama3",
            })),
            RopeScaling::FrequencyFactors(_) => None,
        }
    }
}

/// Reads theta and scaling from config.json: `rope_scaling` beside `rope_theta`, or transformers 5's `rope_parameters`, with
/// transformers' precedence and defaults.
pub(crate) fn from_config(config: &JsonObject, max_position_embeddings: usize) -> Result<(f64, RopeScaling), Error> {
    let name = if config.get("rope_scaling").is_some() { "rope_scaling" } else { "rope_parameters" };
    let empty = Map::new();
    let parameters = config.object(name)?.unwrap_or(&empty);
    let field = |key: &str| format!("{name}.{key}");
    let read = |key: &str| -> Result<Option<f64>, Error> {
        match parameters.get(key).filter(|value| !value.is_null()) {
            None => Ok(None),
            Some(value) => number(value)
                .filter(|&number| number > 0.0)
                .map(Some)
                .ok_or_else(|| config.error(&field(key), value, "a finite number above 0 is expected")),
        }
    };
    let require = |key: &str| read(key)?.ok_or_else(|| config.missing(&field(key)));

    let theta = match read("rope_theta")? {
        Some(theta) => theta,
        None => config.f64("rope_theta")?.unwrap_or(10_000.0),
    };
    if theta <= 0.0 {
        return Err(config.error("rope_theta", theta, "a number above 0 is expected"));
    }
    let partial = match read("partial_rotary_factor")? {
        Some(partial) => partial,
        None => config.f64("partial_rotary_factor")?.unwrap_or(1.0),
    };
    if partial != 1.0 {
        return Err(config.error("partial_rotary_factor", partial, "only whole heads can be rotated (1.0)"));
    }
    let kind = match parameters.get("rope_type").or_else(|| parameters.get("type")) {
        None => "default",
        Some(value) => value.as_str().ok_or_else(|| config.error(&field("rope_type"), value, "a string is expected"))?,
    };
    let scaling = match kind {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: require("factor")? },
        "llama3" => {
            let low_freq_factor = require("low_freq_factor")?;
            let high_freq_factor = require("high_freq_factor")?;
            if high_freq_factor <= low_freq_factor {
                return Err(config.error(
                    &field("high_freq_factor"),
                    high_freq_factor,
                    format!("it must be above low_freq_factor ({low_freq_factor})"),
                ));
            }
            // Beside the rotary parameters it wins over the one among them; without either, the model's own context counts.
            let original = match config.usize("original_max_position_embeddings")? {
                Some(original) => original as f64,
                None => read("original_max_position_embeddings")?.unwrap_or(max_position_embeddings as f64),
            };
            if original.fract() != 0.0 || !(1.0..=1e9).contains(&original) {
                return Err(config.error(&field("original_max_position_embeddings"), original, "a whole number from 1 is expected"));
            }
            let original = original as usize;
            RopeScaling::Llama3 {
                factor: require("factor")?,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings: original,
            }
        }
        other => {
            let reason = "this rotary scaling is not supported; supported are default, linear and llama3";
            return Err(config.error(&field("rope_type"), format!("{other:?}"), reason));
        }
    };
    if parameters.values().any(Value::is_object) {
        return Err(config.error(name, "nested", "rotary parameters that differ by layer type are not supported"));
    }
    Ok((theta, scaling))
}
