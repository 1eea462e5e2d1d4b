//! The whole model against the plain implementation in `reference`, and against itself in other batches.

use crate::arithmetic::Arithmetic;
use crate::generate::Sampling;
use crate::load::Values;
use crate::reference::{Reference, batch, configs, lora, model_folder, shake};
use crate::testing::{close, distance};
use crate::{Batch, DropoutKey, Model, save};
use tch::{Device, Kind, Tensor};
use temper_artifact::{ModelSource, RopeScaling};
use temper_contract::config::{Method, Precision};

struct Loaded {
    folder: tempfile::TempDir,
    source: ModelSource,
    model: Model,
}

fn load_as(config: &serde_json::Value, method: &Method, arithmetic: Arithmetic) -> Loaded {
    let folder = model_folder(config);
    let source = ModelSource::open(folder.path()).expect("the small model is whole");
    let values = Values::First { seed: 5 };
    let mut model = Model::assemble(&source, Some(method), arithmetic, Device::Cpu, values).expect("the small model loads");
    shake(&mut model);
    Loaded { folder, source, model }
}

fn load(config: &serde_json::Value, method: &Method) -> Loaded {
    load_as(config, method, Arithmetic::Fp32)
}

fn methods() -> [Method; 2] {
    [lora(0.0), Method::Full]
}

fn gradient(model: &mut Model, batch: &Batch, scale: f64, dropout: Option<DropoutKey<'_>>) -> (f64, Tensor) {
    let _ = model.trainable_mut().gradient.zero_();
    let loss = model.forward_backward(batch, scale, dropout, &mut |_| ()).expect("a sound batch");
    (loss, model.trainable().gradient.copy())
}

#[test]
fn losses_and_gradients_are_autograds_for_every_shape_and_method() {
    for (name, config) in configs() {
        for method in methods() {
            let Loaded { source, mut model, .. } = load(&config, &method);
            let reference = Reference::of(&model, &source);
            let (loss, gradient) = gradient(&mut model, &batch(), 0.5, None);
            let expected = reference.loss(&batch()).double_value(&[]);
            assert!((loss - expected).abs() < 1e-5 * expected, "{name}: {loss} {expected}");
            let expected = reference.gradient(&model, &batch()) * 0.5;
            for parameter in model.trainable().parameters() {
                let range = |flat: &Tensor| flat.narrow(0, parameter.range.start as i64, parameter.range.len() as i64);
                let distance = distance(&range(&gradient), &range(&expected));
                assert!(distance < 2e-5, "{name}: the gradient of {} is off by {distance:.1e}", parameter.name);
            }
            assert_eq!(model.loss_sum(&batch()).expect("a sound batch").1, 6);
            let evaluated = model.loss_sum(&batch()).expect("a sound batch").0;
            assert!((evaluated - loss).abs() < 1e-6 * loss, "{name}: {evaluated} {loss}");
            close(&model.logits(&batch().token_ids[..8]).expect("sound ids"), &reference.logits(&batch().token_ids[..8]), 1e-5);
        }
    }
}

#[test]
fn bf16_gradients_point_the_same_way() {
    for (name, config) in configs() {
        for method in methods() {
            let exact = gradient(&mut load(&config, &method).model, &batch(), 1.0, None);
            for arithmetic in [Arithmetic::Bf16, Arithmetic::Bf16Widened] {
                let rounded = gradient(&mut load_as(&config, &method, arithmetic).model, &batch(), 1.0, None);
                assert!((rounded.0 - exact.0).abs() < 0.02 * exact.0, "{name} {arithmetic:?}: loss {} {}", rounded.0, exact.0);
                let cosine = rounded.1.dot(&exact.1).double_value(&[]) / (rounded.1.norm() * exact.1.norm()).double_value(&[]);
                assert!(cosine > 0.995, "{name} {arithmetic:?} {method:?}: cosine {cosine}");
            }
        }
    }
}

/// The sequences of `batch()` one at a time.
fn alone() -> Vec<Batch> {
    let whole = batch();
    let mut start = 0;
    let parts = whole.sequence_lengths.iter().map(|&length| {
        let rows = start..start + length;
        start += length;
        let targets = whole.target_rows.iter().zip(&whole.target_ids).filter(|(row, _)| rows.contains(&(**row as usize)));
        let (target_rows, target_ids) = targets.map(|(&row, &id)| (row - rows.start as i64, id)).unzip();
        Batch { token_ids: whole.token_ids[rows].to_vec(), sequence_lengths: vec![length], target_rows, target_ids }
    });
    parts.collect()
}

#[test]
fn a_flat_batch_equals_its_sequences_alone_also_with_dropout() {
    let (_, config) = configs().swap_remove(3);
    for dropout in [0.0, 0.3] {
        let mut model = load(&config, &lora(dropout)).model;
        fn key(samples: &[u64]) -> Option<DropoutKey<'_>> {
            Some(DropoutKey { seed: 3, step: 9, samples })
        }
        let (loss, together) = gradient(&mut model, &batch(), 1.0, key(&[11, 12, 13]));
        let mut sums = (0.0, together.zeros_like());
        for (part, sample) in alone().iter().zip([[11], [12], [13]]) {
            let (loss, gradient) = gradient(&mut model, part, 1.0, key(&sample));
            sums = (sums.0 + loss, sums.1 + gradient);
        }
        assert!((loss - sums.0).abs() < 1e-5 * loss, "{loss} {}", sums.0);
        close(&together, &sums.1, 1e-5);
        let (other, _) = gradient(&mut model, &batch(), 1.0, key(&[11, 12, 14]));
        assert_eq!(other, loss, "the third sequence has no target");
        let (other, _) = gradient(&mut model, &batch(), 1.0, key(&[10, 12, 13]));
        assert_eq!(other != loss, dropout > 0.0);
    }
}

#[test]
fn dropout_gradients_are_the_losss_slope() {
    let (_, config) = configs().swap_remove(0);
    let mut model = load(&config, &lora(0.4)).model;
    let key = Some(DropoutKey { seed: 3, step: 9, samples: &[1, 2, 3] });
    let (_, gradient_here) = gradient(&mut model, &batch(), 1.0, key);
    let direction = crate::testing::random(&gradient_here.size(), 31);
    let step = 2e-3;
    let mut loss_at = |offset: f64| {
        let _ = tch::no_grad(|| model.trainable_mut().master.g_add_(&(&direction * offset)));
        model.sync_compute_weights();
        let loss = gradient(&mut model, &batch(), 1.0, key).0;
        let _ = tch::no_grad(|| model.trainable_mut().master.g_add_(&(&direction * -offset)));
        loss
    };
    let slope = (loss_at(step) - loss_at(-step)) / (2.0 * step);
    let expected = gradient_here.dot(&direction).double_value(&[]);
    assert!((slope - expected).abs() < 0.01 * expected.abs(), "{slope} {expected}");
}

#[test]
fn two_runs_are_bit_equal_and_gradients_add_up() {
    let (_, config) = configs().swap_remove(0);
    let run = || {
        let mut model = load(&config, &lora(0.1)).model;
        gradient(&mut model, &batch(), 1.0, Some(DropoutKey { seed: 1, step: 2, samples: &[1, 2, 3] }))
    };
    let (first, second) = (run(), run());
    assert_eq!(first, second);
    let mut model = load(&config, &Method::Full).model;
    let (_, once) = gradient(&mut model, &batch(), 1.0, None);
    model.forward_backward(&batch(), 1.0, None, &mut |_| ()).expect("a sound batch");
    close(&model.trainable().gradient, &(once * 2.0), 1e-6);
}

#[test]
fn a_bucket_is_final_when_it_is_reported() {
    for (name, config) in configs() {
        for method in methods() {
            let mut model = load(&config, &method).model;
            let (_, expected) = gradient(&mut model, &batch(), 1.0, None);
            let _ = model.trainable_mut().gradient.zero_();
            let flat = model.trainable().gradient.shallow_clone();
            let buckets = model.trainable().buckets().to_vec();
            assert!(buckets.len() > 1, "{name}");
            let mut seen = Vec::new();
            let mut check = |index: usize| {
                seen.push(index);
                let at = |flat: &Tensor| flat.narrow(0, buckets[index].start as i64, buckets[index].len() as i64);
                assert_eq!(at(&flat), at(&expected), "{name}: bucket {index} changed after it was reported");
            };
            model.forward_backward(&batch(), 1.0, None, &mut check).expect("a sound batch");
            assert_eq!(seen, (0..buckets.len()).collect::<Vec<_>>());
            let mut reported = 0;
            let nothing = Batch { target_rows: vec![], target_ids: vec![], ..batch() };
            assert_eq!(model.forward_backward(&nothing, 1.0, None, &mut |_| reported += 1).expect("a sound batch"), 0.0);
            assert_eq!(reported, buckets.len(), "ranks without targets take part in every exchange");
        }
    }
}

#[test]
fn cached_generation_follows_the_whole_sequences_logits() {
    for (name, config) in configs() {
        let mut model = load(&config, &lora(0.0)).model;
        let prompt = [3, 9, 27, 30, 14, 5];
        let answer = model.generate(&prompt, &Sampling::GREEDY, 12, &[], &mut |_| ()).expect("a sound prompt");
        let mut ids: Vec<i64> = prompt.iter().map(|&id| i64::from(id)).collect();
        for &id in &answer.token_ids {
            let logits = model.logits(&ids).expect("sound ids");
            assert_eq!(logits.get(-1).argmax(0, false).int64_value(&[]), i64::from(id), "{name}");
            ids.push(i64::from(id));
        }
        let stop = answer.token_ids[4];
        let first = answer.token_ids.iter().position(|&id| id == stop).expect("it is there");
        let stopped = model.generate(&prompt, &Sampling::GREEDY, 12, &[stop], &mut |_| ()).expect("a sound prompt");
        assert_eq!((stopped.token_ids.as_slice(), stopped.stop_id), (&answer.token_ids[..first], Some(stop)));
    }
}

#[test]
fn however_many_tokens_come_at_a_time_their_logits_are_those_of_the_whole_sequence() {
    let _guard = tch::no_grad_guard();
    let ids: Vec<i64> = (0..24).map(|place| place * 7 % 37).collect();
    // The second, third and fourth bring several at once past a window of 4.
    let ways: [&[usize]; 4] = [&[1; 24], &[6, 5, 1, 7, 2, 3], &[2, 22], &[24]];
    for (name, config) in configs() {
        let mut model = load(&config, &lora(0.0)).model;
        let whole = model.logits(&ids).expect("sound ids").copy();
        for way in ways {
            let mut cache = model.cache(ids.len()).expect("small");
            let mut taken = 0;
            for new in way {
                let logits = model.next_logits(&ids[taken..taken + new], &mut cache).expect("sound ids");
                taken += new;
                let distance = distance(&Tensor::from_slice(&logits), &whole.get(taken as i64 - 1));
                assert!(distance < 1e-5, "{name}, {taken} tokens, {new} of them at once: {distance:.1e}");
            }
            assert_eq!(taken, ids.len());
        }
    }
}

#[test]
fn an_adapter_reads_back_and_a_merged_model_computes_the_same() {
    for precision in [Precision::Fp32, Precision::Bf16] {
        let (_, config) = configs().swap_remove(4);
        let arithmetic = Arithmetic::for_training(precision, Device::Cpu);
        let Loaded { folder, source, mut model } = load_as(&config, &lora(0.0), arithmetic);
        let ids: Vec<i64> = batch().token_ids[..8].to_vec();
        let expected = model.logits(&ids).expect("sound ids");
        let tolerance = if precision == Precision::Fp32 { 1e-5 } else { 0.05 };
        let out = tempfile::tempdir().expect("a temporary folder");
        save::adapter(&model, out.path(), "file:///base", None).expect("a writable folder");
        let mut loaded = Model::load_frozen(&source, Some(out.path()), precision, Device::Cpu).expect("what was written");
        assert_eq!(loaded.trainable().master, model.trainable().master);
        close(&loaded.logits(&ids).expect("sound ids"), &expected, tolerance);

        let again = tempfile::tempdir().expect("a temporary folder");
        save::adapter(&model, again.path(), "file:///base", None).expect("a writable folder");
        for file in ["adapter_model.safetensors", "adapter_config.json"] {
            let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(file)).expect("it was written");
            assert_eq!(read(&out), read(&again), "{file}");
        }

        let merged = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("tokenizer_config.json"), "{}").expect("a writable folder");
        save::full(&model, &source, merged.path()).expect("a writable folder");
        assert!(merged.path().join("tokenizer_config.json").exists());
        let in_files = tempfile::tempdir().expect("a temporary folder");
        save::in_files_of(&model, &source, in_files.path(), 20_000).expect("a writable folder");
        let files = std::fs::read_dir(in_files.path()).expect("a folder").flatten();
        let weights = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "safetensors")).count();
        assert!(weights > 1, "{weights} file");
        let logits = |folder: &tempfile::TempDir| {
            let source = ModelSource::open(folder.path()).expect("what was written");
            let mut written = Model::load_frozen(&source, None, precision, Device::Cpu).expect("what was written");
            written.logits(&ids).expect("sound ids")
        };
        close(&logits(&merged), &expected, tolerance);
        assert_eq!(logits(&in_files), logits(&merged));
    }
}

#[test]
fn a_model_that_receives_values_computes_and_saves_as_the_one_that_they_are_of() {
    for (name, config) in configs() {
        for method in methods() {
            let Loaded { folder: _folder, source, mut model } = load(&config, &method);
            let ids = batch().token_ids[..8].to_vec();
            let mut received = Model::load_to_receive(&source, &method, Device::Cpu).expect("the small model loads");
            received.trainable().master.shallow_clone().copy_(&model.trainable().master);
            received.sync_compute_weights();
            assert_eq!(received.logits(&ids).expect("sound ids"), model.logits(&ids).expect("sound ids"), "{name}");
            let saved = |model: &Model| {
                let out = tempfile::tempdir().expect("a temporary folder");
                save::full(model, &source, out.path()).expect("a writable folder");
                std::fs::read(out.path().join("model.safetensors")).expect("it was written")
            };
            assert!(saved(&received) == saved(&model), "{name}: the bytes differ");
            let error = received.forward_backward(&batch(), 1.0, None, &mut |_| ()).expect_err("it has no gradients").to_string();
            assert!(error.contains("Model::load"), "{error}");
        }
    }
}

#[test]
fn a_whole_model_that_config_json_cannot_describe_is_not_saved() {
    let (_, config) = configs().swap_remove(0);
    let Loaded { source, mut model, .. } = load(&config, &lora(0.0));
    model.config.rope_scaling = RopeScaling::FrequencyFactors(vec![1.0, 3.0, 3.0]);
    let out = tempfile::tempdir().expect("a temporary folder");
    let error = save::full(&model, &source, out.path()).expect_err("refused").to_string();
    assert!(error.contains("rope_freqs.weight is [1.0, 3.0, 3.0]") && error.contains("mergeAdapter: false"), "{error}");
    assert_eq!(std::fs::read_dir(out.path()).expect("a folder").count(), 0, "nothing half is left");
    save::adapter(&model, out.path(), "org/base", Some("v1")).expect("an adapter needs no config.json");
    let written = temper_artifact::AdapterConfig::read(out.path()).expect("what was written");
    assert_eq!((written.base_model_name_or_path.as_deref(), written.revision.as_deref()), (Some("org/base"), Some("v1")));
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let all = configs();
    let Loaded { model, .. } = load(&all[0].1, &lora(0.0));
    let out = tempfile::tempdir().expect("a temporary folder");
    save::adapter(&model, out.path(), "base", None).expect("a writable folder");
    let other = load(&all[2].1, &lora(0.0));
    let error = Model::load_frozen(&other.source, Some(out.path()), Precision::Fp32, Device::Cpu).expect_err("other shapes");
    assert!(error.to_string().contains("has shape"), "{error}");
    let mut frozen = Model::load_frozen(&other.source, None, Precision::Fp32, Device::Cpu).expect("whole");
    assert!(frozen.load_adapter(out.path()).is_err());
    assert!(save::adapter(&frozen, out.path(), "base", None).is_err());
}

#[test]
fn sampling_follows_temperature_and_seed() {
    let (_, config) = configs().swap_remove(0);
    let mut model = load(&config, &lora(0.0)).model;
    let mut sample = |seed, temperature, top_k| {
        let sampling = Sampling { temperature, top_k, top_p: Some(0.95), seed };
        model.generate(&[1, 2, 3], &sampling, 20, &[], &mut |_| ()).expect("a sound prompt").token_ids
    };
    assert_eq!(sample(1, 1.0, None), sample(1, 1.0, None));
    assert_ne!(sample(1, 1.0, None), sample(2, 1.0, None));
    assert_eq!(sample(1, 1.0, Some(1)), sample(0, 0.0, None), "top 1 is greedy");
}

#[test]
fn full_training_keeps_tied_weights_one() {
    let (_, config) = configs().swap_remove(2);
    let Loaded { source, model, .. } = load(&config, &Method::Full);
    assert!(model.trainable().find("lm_head.weight").is_none());
    let expected: usize = source.tensors().iter().map(|info| info.elements()).sum();
    assert_eq!(model.trainable().len(), expected);
    assert_eq!(model.trainable().gradient.sum(Kind::Float).double_value(&[]), 0.0);
}
