//! What keeps a try's pods from running, and whether somebody must do something about it. Decides only.

use super::attempt::SeenAttempt;
use crate::watched::Pod;
use temper_crds::Timestamp;
use temper_crds::condition::reason;
use temper_planner::Obstacle;

/// A Job without pods for so long (seconds) is kept from making them.
pub const PODLESS_AFTER_SECONDS: i64 = 5;

/// What is in the way of a try that goes on. `refusal` is what the Job controller last said about pods that it could not make.
pub fn obstacle(seen: &SeenAttempt, refusal: Option<&str>, now: Timestamp) -> Option<Obstacle> {
    if seen.job.is_going() {
        return None;
    }
    if seen.job.is_suspended() {
        return Some(Obstacle {
            reason: reason::QUEUED,
            message: "the queue has not admitted the training Job yet".to_owned(),
            needs_a_person: false,
        });
    }
    seen.pods.iter().find_map(|pod| of_pod(pod)).or_else(|| {
        (is_podless(seen, now)).then(|| {
            let said = refusal.unwrap_or("the Job controller has made no pods");
            Obstacle {
                reason: reason::PODS_REFUSED,
                message: format!("the cluster refuses the pods: {said}; raise the quota or mend the admission rule, then they are made"),
                needs_a_person: true,
            }
        })
    })
}

/// Whether a Job should have pods by now and has none.
pub fn is_podless(seen: &SeenAttempt, now: Timestamp) -> bool {
    let created = seen.job.metadata.created.unwrap_or(now);
    seen.pods.is_empty()
        && !seen.job.is_suspended()
        && !seen.job.has_failed()
        && !seen.job.has_succeeded()
        && now.as_second() - created.as_second() >= PODLESS_AFTER_SECONDS
}

fn of_pod(pod: &Pod) -> Option<Obstacle> {
    if &*pod.phase != "Pending" {
        return None;
    }
    let name = pod.name();
    if let Some(waiting) = pod.waiting() {
        let why = waiting.message.as_deref().unwrap_or_default();
        return match waiting.reason.as_deref()? {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "ImageInspectError" => Some(Obstacle {
                reason: reason::IMAGE_UNAVAILABLE,
                message: format!("pod {name}: the image cannot be had: {why}; check spec.trainer.image and imagePullSecrets"),
                needs_a_person: true,
            }),
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => Some(Obstacle {
                reason: reason::UNAVAILABLE,
                message: format!("pod {name}: the container cannot be started: {why}"),
                needs_a_person: true,
            }),
            _ => None,
        };
    }
    let scheduled = pod.condition("PodScheduled").filter(|condition| &*condition.status == "False")?;
    if scheduled.reason.as_deref() != Some("Unschedulable") {
        return None;
    }
    let why = scheduled.message.as_deref().unwrap_or("no reason given");
    if why.contains("persistentvolumeclaim") || why.contains("PersistentVolumeClaim") {
        let message = format!("pod {name}: {why}; create the claim that the spec names, or a StorageClass that can bind it");
        return Some(Obstacle { reason: reason::VOLUME_UNAVAILABLE, message, needs_a_person: true });
    }
    // Room may come: a cluster autoscaler may be adding machines.
    Some(Obstacle { reason: reason::UNSCHEDULABLE, message: format!("pod {name} waits for a machine: {why}"), needs_a_person: false })
}

#[cfg(test)]
mod tests;
