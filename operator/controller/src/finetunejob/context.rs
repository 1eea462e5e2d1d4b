//! What every reconciliation works with.

use super::failures::Failures;
use super::family::Families;
use super::machines::Machines;
use super::queue::Queue;
use super::scrape::Scraper;
use super::settled::Settled;
use super::superseded::Superseded;
use super::versions::Versions;
use crate::health::Health;
use crate::metrics::Metrics;
use kube::Client;
use kube::runtime::events::Recorder;
use std::collections::HashSet;
use std::sync::Arc;
use temper_objects::Settings;

/// What every reconciliation works with.
pub struct Context {
    /// To the API server; it counts requests and refuses to write once this process does not lead.
    pub client: Client,
    /// What belongs to them.
    pub families: Arc<Families>,
    /// ModelVersions.
    pub versions: Arc<Versions>,
    /// Machines with GPUs.
    pub machines: Arc<Machines>,
    /// Which jobs wait.
    pub queue: Arc<Queue>,
    /// What running trainers say.
    pub scraper: Arc<Scraper>,
    /// Publishes events.
    pub recorder: Recorder,
    /// Images, volumes, namespaces.
    pub settings: Settings,
    /// The operator's own metrics.
    pub metrics: Arc<Metrics>,
    /// Told which reconciliations run.
    pub health: Health,
    /// Failures in a row, by UID, for growing waits.
    pub failures: Failures,
    /// Versions of jobs that writes of ours have replaced.
    pub superseded: Superseded,
    /// Jobs that are over.
    pub settled: Settled,
}

impl Context {
    /// Nothing more is decided about the job with this UID.
    pub fn forget(&self, uid: &str) {
        self.scraper.forget(uid);
        self.superseded.forget(uid);
        self.failures.forget(uid);
    }

    /// There are only the jobs with these UIDs: others went while nobody watched.
    pub fn retain(&self, uids: &HashSet<&str>) {
        self.scraper.retain(uids);
        self.superseded.retain(uids);
        self.failures.retain(uids);
    }
}
