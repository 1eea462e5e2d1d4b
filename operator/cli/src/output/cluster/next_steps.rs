//! What a person can do about a job as it stands.

use crate::program::Program;
use temper_crds::FineTuneJob;
use temper_crds::condition::{COMPLETE, Condition, ConditionStatus, FAILED, READY, STALLED, SUSPENDED, reason};
use temper_planner::StorageUri;

const ANEW: &str = "but for suspend, a budget and the time to live, a spec cannot be changed: mend the manifest, then";

/// Commands and sentences, the most useful first.
pub fn next_steps(job: &FineTuneJob, program: Program) -> Vec<String> {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let namespace = job.metadata.namespace.as_deref().unwrap_or("default");
    let steps = Steps { job, name, namespace, program: program.name() };
    let Some(status) = job.status.as_ref().filter(|status| !status.conditions.is_empty()) else {
        return vec![steps.operator("the operator has not looked at the job yet")];
    };
    let find = |type_: &str| status.conditions.iter().find(|condition| condition.type_ == type_);
    let holds = |type_: &str| find(type_).is_some_and(|condition| condition.status == ConditionStatus::True);
    let word = find(READY).map_or("", |ready| ready.reason.as_str());
    if holds(COMPLETE) {
        return steps.complete();
    }
    if holds(FAILED) {
        return steps.failed(find(FAILED).map_or(word, |failed| failed.reason.as_str()));
    }
    if let Some(stalled) = find(STALLED).filter(|_| holds(STALLED)) {
        return steps.stalled(stalled);
    }
    let mut list = Vec::new();
    if status.observed_generation < job.metadata.generation {
        list.push(steps.operator("the operator has not looked at the last change of the spec yet"));
    }
    match word {
        _ if holds(SUSPENDED) || job.spec.suspend => list.push(steps.temper("resume", "")),
        reason::QUEUED => list.push(format!("a queue admits the job when it has room: kubectl -n {namespace} get workloads")),
        reason::UNSCHEDULABLE => list.push(format!(
            "what machines have: kubectl describe nodes; what the job asks for: {} plan --cluster -f MANIFEST -n {namespace}",
            steps.program
        )),
        _ => list.push(steps.temper("logs", " -f")),
    }
    list
}

struct Steps<'a> {
    job: &'a FineTuneJob,
    name: &'a str,
    namespace: &'a str,
    program: &'a str,
}

impl Steps<'_> {
    fn temper(&self, command: &str, more: &str) -> String {
        format!("{} {command} {} -n {}{more}", self.program, self.name, self.namespace)
    }

    fn operator(&self, what: &str) -> String {
        format!(
            "{what}; does it run? kubectl get pods --all-namespaces -l app.kubernetes.io/name=temper,app.kubernetes.io/component=operator"
        )
    }

    fn anew(&self) -> String {
        format!(
            "{ANEW} kubectl -n {0} delete finetunejob {1} && kubectl -n {0} apply -f MANIFEST (or give it another name)",
            self.namespace, self.name
        )
    }

    fn complete(&self) -> Vec<String> {
        let model = self.job.status.as_ref().and_then(|status| status.model_version.as_ref());
        match model.and_then(|model| model.name.as_deref()) {
            Some(version) => vec![format!("{} describe mv {version} -n {}", self.program, self.namespace)],
            None => Vec::new(),
        }
    }

    fn failed(&self, word: &str) -> Vec<String> {
        let last = self.job.status.as_ref().and_then(|status| status.attempts.last());
        let logs = last.map(|last| {
            let (stage, number) = (crate::output::cluster::tries::stage(last.stage), last.number);
            format!(
                "what was said before the end, while the pods are there: {}",
                self.temper("logs", &format!(" --stage {stage} --attempt {number}"))
            )
        });
        let advice = match word {
            reason::INVALID_INPUT => "mend what the message names, in the data, the model or the manifest".to_owned(),
            reason::DIVERGED => "lower hyperparameters.learningRate, lengthen warmupSteps, or use precision fp32".to_owned(),
            reason::RESTARTS_EXHAUSTED => "find out why tries failed (above) before raising failurePolicy.maxRestarts".to_owned(),
            reason::DEADLINE_EXCEEDED => "raise activeDeadlineSeconds, or train for fewer steps".to_owned(),
            reason::INSUFFICIENT_MEMORY => "make the job smaller or its pods larger, as the message says".to_owned(),
            reason::VERSION_SKEW => {
                "let operator and trainer be of one version: helm upgrade temper charts/temper, and no spec.trainer.image of another"
                    .to_owned()
            }
            reason::REGISTRATION_FAILED => format!("look at the versions that are there: {} get mv -n {}", self.program, self.namespace),
            _ => "see the message above".to_owned(),
        };
        [Some(advice), logs, Some(self.anew())].into_iter().flatten().collect()
    }

    fn stalled(&self, stalled: &Condition) -> Vec<String> {
        let namespace = self.namespace;
        let list = match stalled.reason.as_str() {
            reason::INVALID_SPEC => vec![self.anew()],
            reason::VOLUME_UNAVAILABLE => vec![format!("kubectl -n {namespace} get persistentvolumeclaims{}", joined(&self.claims()))],
            reason::UNAVAILABLE => {
                let secrets = self.secrets();
                let look = (!secrets.is_empty()).then(|| format!("kubectl -n {namespace} get secrets{}", joined(&secrets)));
                look.into_iter().chain([format!("what the pods say: {}", self.temper("logs", ""))]).collect()
            }
            reason::IMAGE_UNAVAILABLE => {
                vec![format!("kubectl -n {namespace} describe pods -l {}={}", temper_crds::label::JOB_NAME, self.name)]
            }
            reason::PODS_REFUSED => vec![format!("kubectl -n {namespace} get resourcequotas,limitranges,events")],
            reason::FORBIDDEN => vec![
                self.operator("the operator lacks a right; upgrading the chart gives it those it needs: helm upgrade temper charts/temper"),
            ],
            _ => vec![self.temper("logs", "")],
        };
        list.into_iter()
            .chain(
                ["it goes on by itself once the cause is gone".to_owned()].into_iter().filter(|_| stalled.reason != reason::INVALID_SPEC),
            )
            .collect()
    }

    /// Claims that the spec names.
    fn claims(&self) -> Vec<String> {
        let spec = &self.job.spec;
        let validation = spec.dataset.validation.as_ref().and_then(|validation| validation.storage_uri.as_ref());
        let uris = [
            Some(&spec.base_model.storage_uri),
            Some(&spec.dataset.storage_uri),
            validation,
            spec.checkpoint.storage_uri.as_ref(),
            spec.output.storage_uri.as_ref(),
        ];
        unique(uris.into_iter().flatten().filter_map(|uri| match StorageUri::parse(uri) {
            Ok(StorageUri::Pvc { claim, .. }) => Some(claim),
            _ => None,
        }))
    }

    /// Secrets that the spec names.
    fn secrets(&self) -> Vec<String> {
        let spec = &self.job.spec;
        let references = [&spec.base_model.secret_ref, &spec.dataset.secret_ref, &spec.checkpoint.secret_ref, &spec.output.secret_ref];
        unique(references.into_iter().flatten().map(|reference| reference.name.clone()))
    }
}

fn unique(names: impl Iterator<Item = String>) -> Vec<String> {
    names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

fn joined(names: &[String]) -> String {
    names.iter().map(|name| format!(" {name}")).collect()
}
