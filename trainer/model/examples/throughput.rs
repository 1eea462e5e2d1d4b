//! Times training passes over random rows: `throughput MODEL [--bf16] [--full] [--threads N] [--uniform] [--batches N]`.
//!
//! Rows have log-normal lengths up to 512 (or all 512), the second half of each is targets, 8 rows a micro-batch; the lengths come from a fixed seed. Prints one JSON line.

use std::path::PathBuf;
use std::time::Instant;
use temper_artifact::ModelSource;
use temper_contract::config::{Lora, Method, Precision};
use temper_model::{Batch, Model};

const ROWS: usize = 8;
const LONGEST: usize = 512;

/// A small generator, the same as in the Python script that this is compared with.
fn next(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as f64 / (1u64 << 31) as f64
}

/// exp(5 + 0.6 z): median 148 tokens.
fn length(state: &mut u64) -> usize {
    let z = (0..12).map(|_| next(state)).sum::<f64>() - 6.0;
    ((5.0 + 0.6 * z).exp() as usize).clamp(16, LONGEST)
}

fn batch(state: &mut u64, uniform: bool, vocabulary: usize) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..ROWS {
        let length = if uniform { LONGEST } else { length(state) };
        let start = batch.token_ids.len();
        batch.token_ids.extend((0..length).map(|_| (next(state) * vocabulary as f64) as i64));
        batch.sequence_lengths.push(length);
        for row in start + length / 2..start + length - 1 {
            batch.target_rows.push(row as i64);
            batch.target_ids.push(batch.token_ids[row + 1]);
        }
    }
    batch
}

/// Processor time of this process so far, in ticks of 10 ms.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: u64 = after_name.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    Ok(ticks as f64 / 100.0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut path = PathBuf::new();
    let (mut precision, mut full, mut threads, mut uniform, mut batches) = (Precision::Fp32, false, 2, false, 6);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().unwrap_or_default().parse::<usize>();
        match argument.as_str() {
            "--bf16" => precision = Precision::Bf16,
            "--full" => full = true,
            "--uniform" => uniform = true,
            "--threads" => threads = number()?,
            "--batches" => batches = number()?,
            _ => path = argument.into(),
        }
    }
    temper_c10d::set_num_threads(threads)?;
    let source = ModelSource::open(&path)?;
    let lora = Lora { r: 16, lora_alpha: 32.0, lora_dropout: 0.0, target_modules: vec!["all-linear".to_owned()], use_rslora: false };
    let method = if full { Method::Full } else { Method::Lora(lora) };
    let mut model = Model::load(&source, &method, precision, tch::Device::Cpu, 1)?;
    drop(source);
    let mut state = 1;
    let (mut tokens, mut losses, mut times) = (0, Vec::new(), Vec::new());
    for _ in 0..batches {
        let batch = batch(&mut state, uniform, model.config().vocab_size);
        let targets = batch.target_ids.len() as f64;
        let (started, cpu) = (Instant::now(), cpu_seconds()?);
        losses.push(model.forward_backward(&batch, 1.0 / targets, None, &mut |_| ())? / targets);
        times.push((batch.tokens(), started.elapsed().as_secs_f64(), cpu_seconds()? - cpu));
        tokens += batch.tokens();
    }
    let timed = &times[1.min(times.len() - 1)..];
    let counted = timed.iter().map(|(tokens, ..)| *tokens as f64).sum::<f64>();
    let rate = counted / timed.iter().map(|(_, seconds, _)| seconds).sum::<f64>();
    let cpu_rate = counted / timed.iter().map(|(.., cpu)| cpu).sum::<f64>();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("").trim();
    println!(
        "{}",
        serde_json::json!({"tokens_per_second": rate, "tokens_per_cpu_second": cpu_rate, "tokens": tokens, "losses": losses, "peak": peak, "times": times})
    );
    Ok(())
}
