//! The registry entry of a job's model.

use crate::metadata::labels;
use crate::names;
use crate::owner::Owner;
use crate::places::Places;
use temper_contract::report::{PrepareReport, PublishReport, TrainReport};
use temper_crds::modelversion::SourceReference;
use temper_crds::{ModelVersion, Stage, label};
use temper_planner::ValidatedFineTuneJob;
use temper_planner::registration::{Reports, model_version_spec};
use temper_planner::validated::Register;

/// For `Intent::Register`: this version of the model that the spec names (of one with the job's name, where it names none). It says which
/// job made it and is not owned by it, because a model outlives its job.
pub fn model_version(
    job: &ValidatedFineTuneJob,
    owner: &Owner,
    prepared: &PrepareReport,
    trained: Option<&TrainReport>,
    published: &PublishReport,
    version: u64,
) -> ModelVersion {
    let register = job.register.clone().unwrap_or_else(|| Register { model_name: owner.name.clone(), stage: Stage::None });
    // The schema's bound is lower than the type's, so a number that is too large is refused and never becomes another one.
    let version = u32::try_from(version).unwrap_or(u32::MAX);
    let reports = Reports { prepared, trained, published };
    let source = SourceReference { kind: "FineTuneJob".to_owned(), name: owner.name.clone(), uid: Some(owner.uid.clone()) };
    let uri = Places::of(job, owner).model_uri().to_owned();
    let spec = model_version_spec(job, &register, reports, source, version, uri);
    let mut entry = ModelVersion::new(&names::model_version(&register.model_name, version), spec);
    entry.metadata.namespace = Some(owner.namespace.clone());
    entry.metadata.labels = Some(labels(&[
        (label::MODEL_NAME, &register.model_name),
        (label::MODEL_VERSION, &version.to_string()),
        (label::JOB_NAME, &owner.name),
        (label::MANAGED_BY, label::MANAGER),
    ]));
    entry
}
