//! `prepare`: model and rows brought to this machine, the rows filtered and tokenised, in the run's folder.

use super::output;
use crate::durable::write_json;
use crate::events::emit;
use crate::failure::Result;
use crate::kill_point::{self, kill_point};
use crate::transfer;
use temper_artifact::ModelSource;
use temper_contract::{TrainerConfig, layout};

/// Prepares a job's data; with the same data and settings as before, finds that nothing is to be done.
pub(crate) fn run(config: &TrainerConfig) -> Result<()> {
    transfer::fetch_inputs(config)?;
    let source = ModelSource::open(&config.base_model.path)?;
    source.config().check_trains(source.path())?;
    output::check(config, &source)?;
    let report = temper_data::prepare(config, &source, &mut |event| emit(&event))?;
    kill_point(kill_point::PREPARE_REPORT);
    write_json(&config.run_folder.join(layout::PREPARE_REPORT), &report)
}
