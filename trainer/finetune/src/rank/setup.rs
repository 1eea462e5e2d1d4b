//! Composes a rank: data, model, group, checkpoint, observers.

use super::data::Data;
use super::environment::Environment;
use super::heartbeat;
use super::observers::Observers;
use super::takeover;
use super::training::Training;
use crate::checkpoint::{CheckpointStore, Copier, Found, Identity, Tensors, TrainingState, of_another};
use crate::compute;
use crate::events::emit;
use crate::exchange::Exchange;
use crate::failure::{Failure, Result};
use crate::inputs;
use crate::metrics::{Exporter, Metrics};
use crate::optimizer::Moments;
use crate::restarts;
use crate::schedule::Schedule;
use crate::step_log::StepLog;
use crate::stop_signal::StopSignal;
use std::sync::Arc;
use std::time::Duration;
use tch::Device;
use temper_artifact::ModelSource;
use temper_c10d::{ProcessGroup, Store};
use temper_contract::config::Device as DeviceKind;
use temper_contract::{Event, ExitCode, TrainerConfig, layout};
use temper_model::Model;

/// Everything this rank needs, at the step of the newest checkpoint.
pub(super) fn compose(config: &TrainerConfig, environment: &Environment, stop: StopSignal) -> Result<Training> {
    let device = compute::device(config.parallelism.device, environment.local_rank)?;
    let restarts = restarts::count(&config.run_folder)?;
    let metrics = Arc::new(Metrics::new(&config.job_name, environment.rank, environment.attempt, restarts, device)?);
    // Served from now on, while the model is loaded and the ranks meet.
    let exporter = environment.metrics_port.map(|port| Exporter::start(port, Arc::clone(&metrics))).transpose()?;
    let data = Data::open(config)?;
    compute::set_threads(config.parallelism.threads_per_proc)?;
    inputs::check_base_model(config)?;
    let is_first = environment.rank == 0;
    let may_rise = is_first && takeover::is_newest(&config.run_folder, environment.attempt, environment.generation);
    let hyperparameters = &config.hyperparameters;
    // The mapped files go before the moments come.
    let source = ModelSource::open(&config.base_model.path)?;
    let mut model = Model::load(&source, &config.method, hyperparameters.precision, device, hyperparameters.seed)?;
    drop(source);
    let moments = Moments::zeros_like(&model.trainable().master)?;
    let exchange = meet(config, environment)?;
    exchange.copy_from_first(&model.trainable().master)?;

    let mut checkpoints = CheckpointStore::new(&config.checkpoint_folder, environment.attempt, config.checkpoint.save_total_limit);
    let found = checkpoints.find(may_rise)?;
    let (state, plan) = resume(config, &data, found.as_ref())?;
    let saved_by = found.as_ref().map_or(0, |found| found.attempt);
    checkpoints.write_as(agree(&exchange, [saved_by, state.step], checkpoints.attempt(), device)?);
    if is_first {
        checkpoints.clean()?;
    }
    if let Some(found) = &found {
        let parameters = model.trainable();
        found.load(&Tensors { parameters: parameters.parameters(), master: &parameters.master, moments: &moments })?;
    }
    let copier = if is_first { Copier::start(config)? } else { None };
    if let (Some(copier), Some(found)) = (&copier, &found) {
        copier.offer(&found.folder);
    }
    model.sync_compute_weights();

    let log = is_first.then(|| StepLog::resume(&config.run_folder.join(layout::STEP_LOG), state.step)).transpose()?;
    heartbeat::step_done(state.step);
    metrics.started(&state, plan.epoch_after(state.step), found.as_ref().map(|found| (found.attempt, found.folder.as_path())));
    // Every rank says so to its supervisor.
    emit(&Event::Started {
        world_size: exchange.world_size(),
        resumed_from_step: state.step,
        total_steps: state.identity.total_steps,
        parameters: data.report.parameters,
    });
    tracing::info!(step = state.step, total_steps = state.identity.total_steps, generation = environment.generation, "ready");
    Ok(Training {
        config: config.clone(),
        device,
        plan,
        schedule: Schedule::new(hyperparameters, state.identity.total_steps),
        data,
        model,
        moments,
        exchange,
        saved: found.map(|found| (state.step, found.folder.display().to_string())),
        state,
        checkpoints,
        copier,
        observers: Observers { log, metrics, _exporter: exporter },
        stop,
    })
}

/// The state to go on from, and the plan of the first run.
fn resume(config: &TrainerConfig, data: &Data, found: Option<&Found>) -> Result<(TrainingState, temper_data::sampler::Plan)> {
    let carried = found.map(|found| found.state.identity.micro_batches_per_step);
    let micro_batches_per_step = carried.unwrap_or(config.parallelism.micro_batches_per_step);
    let plan = data.plan(config, micro_batches_per_step);
    let identity = Identity {
        data_digest: data.report.digest.clone(),
        base_model_digest: data.report.base_model_digest.clone(),
        seed: config.hyperparameters.seed,
        per_device_train_batch_size: config.hyperparameters.per_device_train_batch_size,
        micro_batches_per_step,
        total_steps: plan.total_steps(),
    };
    if identity.total_steps == 0 {
        return Err(Failure::invalid(
            format!(
                "there is nothing to train: {} examples and numTrainEpochs {}",
                data.train.len(),
                config.hyperparameters.num_train_epochs
            ),
            "give spec.dataset more rows, or raise spec.hyperparameters.numTrainEpochs",
        ));
    }
    let Some(found) = found else { return Ok((TrainingState::new(identity), plan)) };
    match found.state.identity.difference(&identity) {
        Some(difference) => Err(of_another(&found.folder, &difference)),
        None => Ok((found.state.clone(), plan)),
    }
}

/// Waits for the other ranks.
fn meet(config: &TrainerConfig, environment: &Environment) -> Result<Exchange> {
    let Environment { rank, local_rank, world_size, master_address, master_port, generation, .. } = environment;
    if *world_size == 1 {
        return Ok(Exchange::alone());
    }
    // A collective waits for the slowest rank; how long that may be is the stall timeout's business. So is how long one may take to load
    // its model: that every node has come is known by now.
    let timeout = Duration::from_secs(config.failure.stall_timeout_seconds);
    let failed = |error: temper_c10d::Error| {
        let (reason, next_step) = match &error {
            temper_c10d::Error::Timeout { .. } => (
                ExitCode::Rendezvous,
                "check that every node's pod reaches MASTER_ADDR:MASTER_PORT; where models take longer to load, raise failurePolicy.stallTimeoutSeconds",
            ),
            // Its own end says more.
            temper_c10d::Error::PeerLost { .. } => (ExitCode::PeerLost, "see how the other ranks ended"),
            _ => (ExitCode::Rendezvous, "check that every node's pod runs and reaches MASTER_ADDR:MASTER_PORT"),
        };
        let message = format!("rank {rank} of {world_size} did not meet the others at {master_address}:{master_port}: {error}");
        Failure::new(reason, message, next_step)
    };
    let late = |error: temper_c10d::Error| Failure { reason: ExitCode::Rendezvous, ..failed(error) };
    let prefix = format!("generation-{generation}");
    let patience = Duration::from_secs(config.failure.rendezvous_timeout_seconds);
    let store = Store::connect(master_address, *master_port, patience).map_err(late)?;
    // Models load in their own time on each node: meet first, then let collectives have theirs.
    let arrivals = store.add(&format!("{prefix}/arrived"), 1).map_err(failed)?;
    let complete = format!("{prefix}/complete");
    if arrivals == *world_size as i64 {
        store.set(&complete, b"1").map_err(failed)?;
    }
    store.wait(&[&complete], timeout).map_err(failed)?;
    let group = match config.parallelism.device {
        DeviceKind::Cpu => ProcessGroup::gloo(&store, &prefix, *rank, *world_size, timeout),
        DeviceKind::Cuda => nccl(&store, &prefix, *rank, *world_size, timeout, *local_rank),
    };
    let signs = store.prefix(&format!("{prefix}/signs")).map_err(failed)?;
    Ok(Exchange::among(group.map_err(failed)?, signs, timeout))
}

#[cfg(feature = "cuda")]
fn nccl(
    store: &Store,
    prefix: &str,
    rank: usize,
    world_size: usize,
    timeout: Duration,
    device: usize,
) -> std::result::Result<ProcessGroup, temper_c10d::Error> {
    ProcessGroup::nccl(store, prefix, rank, world_size, timeout, device)
}

#[cfg(not(feature = "cuda"))]
fn nccl(
    _store: &Store,
    _prefix: &str,
    _rank: usize,
    _world_size: usize,
    _timeout: Duration,
    _device: usize,
) -> std::result::Result<ProcessGroup, temper_c10d::Error> {
    unreachable!("compute::device refuses CUDA in a build without it")
}

/// The number that rank 0 writes checkpoints under. Ranks that resumed from different checkpoints (a file system that shows a new file
/// late) must not train together, so `own`, the attempt and step of this rank's, must be the same on all of them.
fn agree(exchange: &Exchange, own: [u64; 2], writes_as: u64, device: Device) -> Result<u64> {
    let [attempt, step] = own;
    let numbers = [attempt, step, writes_as].map(|number| number as f64);
    // What all others add is zero.
    let of_first = exchange.sum(if exchange.rank() == 0 { numbers } else { [0.0; 3] }, device)?;
    let is_other = numbers[..2] != of_first[..2];
    let [others] = exchange.sum([f64::from(u8::from(is_other))], device)?;
    let [first_attempt, first_step, writes_as] = of_first.map(|number| number as u64);
    if others == 0.0 {
        return Ok(writes_as);
    }
    Err(Failure::new(
        ExitCode::PeerLost,
        format!(
            "ranks resumed from different checkpoints: this one from step {step} of attempt {attempt}, rank 0 from step {first_step} of \
             attempt {first_attempt}"
        ),
        "check that every node sees the same checkpoint folder; the job tries again",
    ))
}
