//! The chart's copies of the CRDs. Helm packs only what lies in the chart's folder.

use super::File;
use temper_crds::crd;

pub(super) fn files() -> anyhow::Result<Vec<File>> {
    crd::all().into_iter().map(|(name, crd)| Ok(File::new(format!("charts/temper/files/crds/{name}"), crd::to_yaml(&crd)?))).collect()
}
