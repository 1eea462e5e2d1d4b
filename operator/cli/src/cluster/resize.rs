//! Another size for a suspended job: which fields change, and whether the job is still a good one.

use temper_crds::FineTuneJob;
use temper_planner::{Capabilities, Problem, validate};

/// How many machines, and processes on each; `None` leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Machines.
    pub nodes: Option<u32>,
    /// Processes on each.
    pub proc_per_node: Option<u32>,
}

impl Size {
    /// Whether nothing changes.
    pub const fn is_empty(self) -> bool {
        self.nodes.is_none() && self.proc_per_node.is_none()
    }

    /// The job as it would be.
    pub fn applied(self, job: &FineTuneJob) -> FineTuneJob {
        let mut job = job.clone();
        let trainer = &mut job.spec.trainer;
        trainer.num_nodes = self.nodes.unwrap_or(trainer.num_nodes);
        trainer.num_proc_per_node = self.proc_per_node.unwrap_or(trainer.num_proc_per_node);
        job
    }

    /// What would be wrong with it that is not wrong now: the operator would refuse it, and the job would stand still.
    pub fn problems(self, job: &FineTuneJob) -> Vec<Problem> {
        let problems = |job: &FineTuneJob| validate(job, Capabilities::CLUSTER).err().unwrap_or_default();
        let before = problems(job);
        problems(&self.applied(job)).into_iter().filter(|problem| !before.contains(problem)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Size;
    use serde_json::json;
    use temper_crds::FineTuneJob;

    fn job(limits: serde_json::Value) -> FineTuneJob {
        serde_json::from_value(json!({
            "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "metadata": { "name": "tiny" },
            "spec": {
                "suspend": true,
                "baseModel": { "storageUri": "pvc://models/tiny" },
                "dataset": { "storageUri": "pvc://data/rows.jsonl", "format": "text" },
                "method": { "type": "full" },
                "hyperparameters": { "maxSteps": 60 },
                "trainer": { "numNodes": 2, "numProcPerNode": 2, "resourcesPerNode": { "limits": limits } },
            },
        }))
        .expect("a job")
    }

    #[test]
    fn only_what_is_named_changes() {
        let job = job(json!({ "cpu": "2" }));
        let resized = Size { nodes: Some(3), proc_per_node: None }.applied(&job);
        assert_eq!((resized.spec.trainer.num_nodes, resized.spec.trainer.num_proc_per_node), (3, 2));
        assert!(Size::default().is_empty() && Size::default().applied(&job) == job);
    }

    #[test]
    fn a_size_that_the_operator_would_refuse_is_refused_here() {
        let size = Size { nodes: None, proc_per_node: Some(4) };
        let problems = size.problems(&job(json!({ "nvidia.com/gpu": 2 })));
        assert!(
            problems.iter().any(|problem| problem.path.contains("nvidia.com/gpu") || problem.path.contains("numProcPerNode")),
            "{problems:?}"
        );
        assert_eq!(Size { nodes: Some(3), proc_per_node: None }.problems(&job(json!({ "nvidia.com/gpu": 2 }))), []);
    }
}
