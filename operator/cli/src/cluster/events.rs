//! What happened to an object and to what is made for it.

use crate::cluster::access::Session;
use crate::output::cluster::happening::Happening;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use temper_planner::Stage;

/// Warnings of a namespace that are looked through.
const MOST_WARNINGS: u32 = 1000;

/// Events about the object itself. Where they may not be read there are none: an object can be described without.
pub async fn about(session: &Session, uid: &str) -> Vec<Happening> {
    list(session, &format!("regarding.uid={uid}")).await.iter().map(|event| happening(event, false)).collect()
}

/// Warnings about what is made for a job: its pods, Jobs and volume.
pub async fn about_family(session: &Session, job: &str) -> Vec<Happening> {
    let warnings = list(session, "type=Warning").await;
    warnings.iter().filter(|event| is_of_family(event, job)).map(|event| happening(event, true)).collect()
}

async fn list(session: &Session, fields: &str) -> Vec<Event> {
    let events: Api<Event> = Api::namespaced(session.client.clone(), &session.namespace);
    let parameters = ListParams::default().fields(fields).limit(MOST_WARNINGS);
    session.ask("list events", events.list(&parameters)).await.map(|list| list.items).unwrap_or_default()
}

fn is_of_family(event: &Event, job: &str) -> bool {
    let regarding = event.regarding.clone().unwrap_or_default();
    let name = regarding.name.unwrap_or_default();
    matches!(regarding.kind.as_deref(), Some("Pod" | "Job" | "PersistentVolumeClaim")) && is_made_for(&name, job)
}

/// Whether a name is that of something made for the job: `J-a0`, `J-prepare-0-x2v`, `J-run`; not of a job whose name only begins alike.
fn is_made_for(name: &str, job: &str) -> bool {
    let Some(rest) = name.strip_prefix(job) else { return false };
    let numbered = |prefix: &str| {
        let number = rest.strip_prefix(prefix).map(|rest| rest.split('-').next().unwrap_or_default());
        number.is_some_and(|number| !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit()))
    };
    let stage = |stage: Stage| match stage {
        Stage::Prepare => numbered("-prepare-"),
        Stage::Train => numbered("-a"),
        Stage::Publish => numbered("-publish-"),
    };
    rest == "-run" || [Stage::Prepare, Stage::Train, Stage::Publish].into_iter().any(stage)
}

fn happening(event: &Event, of_family: bool) -> Happening {
    let series = event.series.as_ref();
    let times = [
        series.map(|series| series.last_observed_time.0),
        event.event_time.as_ref().map(|time| time.0),
        event.deprecated_last_timestamp.as_ref().map(|time| time.0),
        event.metadata.creation_timestamp.as_ref().map(|time| time.0),
    ];
    let count = series.map(|series| series.count).or(event.deprecated_count).unwrap_or(1);
    let about = event.regarding.as_ref().filter(|_| of_family).map(|regarding| {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        format!("{}/{}", text(&regarding.kind), text(&regarding.name))
    });
    Happening {
        at: times.into_iter().flatten().next().unwrap_or_default(),
        count: count.into(),
        warning: event.type_.as_deref() == Some("Warning"),
        reason: event.reason.clone().unwrap_or_default(),
        about,
        note: event.note.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_made_for;

    #[test]
    fn a_family_is_known_by_its_names() {
        for name in ["tiny-a0", "tiny-a12-3-x7k", "tiny-prepare-0-abc", "tiny-publish-1", "tiny-run"] {
            assert!(is_made_for(name, "tiny"), "{name}");
        }
        for name in ["tiny", "tiny-a", "tiny-adapter-0", "tiny-b-a0", "other-a0", "tiny-prepare", "tiny-prepare-x"] {
            assert!(!is_made_for(name, "tiny"), "{name}");
        }
    }
}
