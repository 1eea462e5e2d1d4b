//! Where a job's files are, as its pods see them and as others do.
//!
//! ```text
//! /volumes/CLAIM/PATH/J-UID8/             the run folder, on the claim of spec.checkpoint.storageUri or on the job's own claim
//!     checkpoints/ output/ inputs/ ...    names of temper_contract::layout
//! /secrets/NAME/                          a Secret's keys as files; an empty folder where there is no such Secret
//! /etc/temper/trainer-config.json         the ConfigMap
//! ```

use crate::names;
use crate::owner::Owner;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use temper_contract::layout;
use temper_planner::validated::Location;
use temper_planner::{Folders, Stage, StorageUri, ValidatedFineTuneJob};

/// Where claims are mounted, each in a folder of its name.
pub const VOLUMES: &str = "/volumes";
/// Where Secrets are mounted, each in a folder of its name.
pub const SECRETS: &str = "/secrets";
/// Where the ConfigMap is mounted.
pub const CONFIG_FOLDER: &str = "/etc/temper";
/// The published model, in the run folder.
const OUTPUT: &str = "output";

/// Where a job's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    folders: Folders,
    run: OnClaim,
    owns_claim: bool,
    checkpoints_uri: String,
    model_uri: String,
    mounts: BTreeMap<Stage, BTreeMap<String, Access>>,
    secrets: BTreeMap<Stage, BTreeSet<String>>,
}

/// What a stage does with a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// It reads from it.
    Read,
    /// It writes to it.
    Write,
}

impl Places {
    /// The places of a job.
    pub fn of(job: &ValidatedFineTuneJob, owner: &Owner) -> Self {
        let run_name = owner.run_name();
        let checkpoints_on = job.checkpoint_location.as_ref().and_then(OnClaim::of);
        let owns_claim = Self::need_a_claim(job);
        let run = checkpoints_on.unwrap_or_else(|| OnClaim { claim: names::run_claim(&owner.name), path: String::new() }).join(&run_name);
        let output = job.output_location.as_ref().and_then(OnClaim::of).map_or_else(|| run.join(OUTPUT), |output| output.join(&run_name));
        let checkpoints = run.join(layout::CHECKPOINTS);
        let uri = |location: Option<&Location>, on_claim: &OnClaim| {
            location.filter(|location| location.is_remote()).map_or_else(|| on_claim.uri(), |location| location.folder_of(&run_name))
        };
        let (checkpoints_uri, model_uri) =
            (uri(job.checkpoint_location.as_ref(), &checkpoints), uri(job.output_location.as_ref(), &output));
        let secrets = secrets(job);
        let input = |location: &Location, fetched| input(location, &run.join(fetched));
        Self {
            checkpoints_uri,
            model_uri,
            folders: Folders {
                run: run.mount(),
                checkpoints: checkpoints.mount(),
                output: output.mount(),
                base_model: input(&job.base_model, layout::FETCHED_BASE_MODEL),
                dataset: input(&job.dataset, layout::FETCHED_DATASET),
                validation: job.validation.as_ref().map(|location| input(location, layout::FETCHED_VALIDATION)),
                secrets: secrets.values().flatten().map(|name| (name.clone(), Path::new(SECRETS).join(name))).collect(),
                run_name,
            },
            mounts: mounts(job, &run.claim),
            secrets,
            owns_claim,
            run,
        }
    }

    /// All folders, as pods see them.
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// The run folder, as pods see it.
    pub fn run(&self) -> &Path {
        &self.folders.run
    }

    /// The claim that is made for the job, if it names none for its checkpoints.
    pub fn run_claim(&self) -> Option<&str> {
        self.owns_claim.then_some(self.run.claim.as_str())
    }

    /// Whether a claim is made for a job: it names none for its checkpoints.
    pub fn need_a_claim(job: &ValidatedFineTuneJob) -> bool {
        job.checkpoint_location.as_ref().and_then(OnClaim::of).is_none()
    }

    /// The claims that a stage's pods mount, by name. `prepare` mounts all of the job's, so that one that is missing shows before an
    /// accelerator is held; the other stages mount what they use.
    pub fn claims(&self, stage: Stage) -> impl Iterator<Item = (&str, Access)> {
        self.mounts.get(&stage).into_iter().flatten().map(|(claim, access)| (claim.as_str(), *access))
    }

    /// The Secrets that a stage's pods mount, by name; the same goes for them.
    pub fn secrets(&self, stage: Stage) -> impl Iterator<Item = &str> {
        self.secrets.get(&stage).into_iter().flatten().map(String::as_str)
    }

    /// Where others find a checkpoint.
    pub fn checkpoint_uri(&self, attempt: u64, step: u64) -> String {
        format!("{}/{}/{}", self.checkpoints_uri, layout::attempt_folder(attempt), layout::step_folder(step))
    }

    /// Where others find the published model.
    pub fn model_uri(&self) -> &str {
        &self.model_uri
    }
}

/// Where an input is read from: on its claim, or where `prepare` puts it.
fn input(location: &Location, fetched: &OnClaim) -> PathBuf {
    OnClaim::of(location).unwrap_or_else(|| fetched.clone()).mount()
}

fn mounts(job: &ValidatedFineTuneJob, run_claim: &str) -> BTreeMap<Stage, BTreeMap<String, Access>> {
    let claim = |location: Option<&Location>| location.and_then(OnClaim::of).map(|place| place.claim);
    let base_model = claim(Some(&job.base_model));
    let dataset = claim(Some(&job.dataset));
    let validation = claim(job.validation.as_ref());
    let output = claim(job.output_location.as_ref());
    let of_stage = |read: &[&Option<String>], write: &[&Option<String>]| {
        let mut mounts: BTreeMap<String, Access> = read.iter().filter_map(|claim| Some(((*claim).clone()?, Access::Read))).collect();
        mounts.extend(write.iter().filter_map(|claim| Some(((*claim).clone()?, Access::Write))));
        mounts.insert(run_claim.to_owned(), Access::Write);
        mounts
    };
    BTreeMap::from([
        (Stage::Prepare, of_stage(&[&base_model, &dataset, &validation, &output], &[])),
        (Stage::Train, of_stage(&[&base_model], &[])),
        (Stage::Publish, of_stage(&[&base_model], &[&output])),
    ])
}

fn secrets(job: &ValidatedFineTuneJob) -> BTreeMap<Stage, BTreeSet<String>> {
    let of = |locations: &[Option<&Location>]| locations.iter().flatten().filter_map(|location| secret(location)).collect();
    let (checkpoint, output) = (job.checkpoint_location.as_ref(), job.output_location.as_ref());
    let all = [Some(&job.base_model), Some(&job.dataset), job.validation.as_ref(), checkpoint, output];
    // The final checkpoint is brought back from its copy where the one on the claim is damaged or gone.
    BTreeMap::from([(Stage::Prepare, of(&all)), (Stage::Train, of(&[checkpoint])), (Stage::Publish, of(&[checkpoint, output]))])
}

/// The Secret that a location needs. A claim takes no credentials.
fn secret(location: &Location) -> Option<String> {
    location.secret.clone().filter(|_| OnClaim::of(location).is_none())
}

/// A folder on a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OnClaim {
    claim: String,
    /// Relative; empty for the claim's root.
    path: String,
}

impl OnClaim {
    fn of(location: &Location) -> Option<Self> {
        match &location.storage {
            StorageUri::Pvc { claim, path } => Some(Self { claim: claim.clone(), path: path.clone() }),
            StorageUri::File { .. } | StorageUri::HuggingFace { .. } | StorageUri::ObjectStore { .. } => None,
        }
    }

    fn join(&self, name: &str) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) };
        Self { claim: self.claim.clone(), path }
    }

    fn mount(&self) -> PathBuf {
        let claim = claim_folder(&self.claim);
        if self.path.is_empty() { claim } else { claim.join(&self.path) }
    }

    fn uri(&self) -> String {
        StorageUri::Pvc { claim: self.claim.clone(), path: self.path.clone() }.to_string()
    }
}

/// Where a claim is mounted.
pub(crate) fn claim_folder(claim: &str) -> PathBuf {
    Path::new(VOLUMES).join(claim)
}
