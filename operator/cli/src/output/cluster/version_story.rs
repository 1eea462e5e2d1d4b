//! The story of a ModelVersion: what it is made of, how good it is, and which stages it has been in.

use crate::output::cluster::columns::{Cell, table};
use crate::output::cluster::facts::{Facts, section};
use crate::output::cluster::happening::{self, Happening};
use crate::output::cluster::timeline;
use crate::output::cluster::when::When;
use crate::output::terminal::Terminal;
use temper_crds::ModelVersion;
use temper_crds::label::STAGE_CHANGED_BY;

/// The whole story.
pub fn text(version: &ModelVersion, happenings: &[Happening], when: &When, terminal: Terminal) -> String {
    let metadata = &version.metadata;
    let status = version.status.clone().unwrap_or_default();
    let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
    let name =
        format!("ModelVersion {}/{}", metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let named = |pairs: &mut dyn Iterator<Item = (&String, String)>| {
        let mut facts = Facts::default();
        pairs.for_each(|(name, value)| facts.add(name, value));
        facts.text()
    };
    let settings = named(&mut version.spec.training_config.iter().map(|(name, value)| (name, value.clone())));
    let metrics = named(&mut version.spec.metrics.iter().map(|(name, value)| (name, value.to_string())));
    let history: Vec<Vec<Cell>> = status
        .history
        .iter()
        .map(|record| {
            let to = record.to.as_ref().map(|to| when.shown(to.0)).unwrap_or_default();
            vec![record.stage.to_string().into(), when.shown(record.from.0).into(), to.into(), record.by.clone().unwrap_or_default().into()]
        })
        .collect();
    let history = if history.is_empty() { String::new() } else { table(&["STAGE", "FROM", "TO", "BY"], &history, terminal) };
    [
        format!("{}\n\n", terminal.bold(&format!("{name}: {}", version.spec.stage))),
        identity(version, when).text(),
        section("Metrics", &metrics, terminal),
        section("Trained with", &settings, terminal),
        section("Stages", &history, terminal),
        section("Timeline", &timeline::text(&status.conditions, created, when, terminal), terminal),
        section("Events", &happening::text(happenings, when, terminal), terminal),
    ]
    .concat()
}

fn identity(version: &ModelVersion, when: &When) -> Facts {
    let (metadata, spec) = (&version.metadata, &version.spec);
    let mut facts = Facts::default();
    facts.add_some("Created", metadata.creation_timestamp.as_ref().map(|at| format!("{} ({})", when.shown(at.0), when.ago(at.0))));
    facts.add("Model", format!("{} version {}", spec.model_name, spec.version));
    facts.add("Format", format!("{:?}", spec.format));
    facts.add("Folder", spec.uri.clone());
    facts.add("Digest", spec.digest.clone());
    if let Some(base) = &spec.base_model {
        let digest = base.digest.as_ref().map(|digest| format!("\n{digest}")).unwrap_or_default();
        facts.add("Base model", format!("{}{digest}", base.uri));
    }
    facts.add_some("Chat template", spec.chat_template_digest.clone());
    facts.add_some("Made by", spec.source_ref.as_ref().map(|source| format!("{} {}", source.kind, source.name)));
    let moved_by = metadata.annotations.as_ref().and_then(|annotations| annotations.get(STAGE_CHANGED_BY));
    facts.add_some("Stage set by", moved_by.cloned());
    let deployed = version.status.iter().flat_map(|status| &status.deployed_by).cloned().collect::<Vec<_>>();
    facts.add_some("Deployed by", (!deployed.is_empty()).then(|| deployed.join(", ")));
    facts
}
