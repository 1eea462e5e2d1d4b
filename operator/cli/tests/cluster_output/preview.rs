//! What `plan --cluster` shows.

use serde_json::Value;
use temper_cli::cluster::preview::report::{Action, Cause, Made, Memory, Preview, Reference, Refusal, Room, Verdict};
use temper_cli::output::cluster::preview_text;
use temper_cli::output::terminal::Terminal;

fn made(stage: &str, kind: &str, name: &str, count: u64, verdict: Verdict, message: &str) -> Made {
    Made {
        stage: stage.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        count,
        verdict,
        message: message.to_owned(),
        manifest: Value::Null,
    }
}

fn reference(kind: &str, name: &str, found: Option<bool>, detail: &str, field: &str) -> Reference {
    Reference { kind: kind.to_owned(), name: name.to_owned(), fields: vec![field.to_owned()], found, detail: detail.to_owned() }
}

fn preview() -> Preview {
    Preview {
        job: "listings".to_owned(),
        namespace: "ml".to_owned(),
        action: Action::Create,
        refusal: None,
        objects: vec![
            made("prepare", "ConfigMap", "listings-trainer", 1, Verdict::Accepted, ""),
            made("prepare", "Job", "listings-prepare-0", 1, Verdict::Accepted, ""),
            made("prepare", "Pod", "listings-prepare-0-0", 1, Verdict::Accepted, "cpu 1, memory 1Gi"),
            made("train", "Job", "listings-a0", 1, Verdict::NotChecked, "you may not create jobs; the operator may"),
            made(
                "train",
                "Pod",
                "listings-a0-0",
                2,
                Verdict::Refused,
                "pods \"listings-a0-0\" is forbidden: no PriorityClass with name training was found",
            ),
        ],
        model_version: Some("listings-v4, stage Staging".to_owned()),
        references: vec![
            reference("PersistentVolumeClaim", "datasets", Some(true), "Bound, 50Gi, ReadWriteMany", "spec.dataset.storageUri"),
            reference("Secret", "hf-token", None, "you may not get secrets", "spec.baseModel.secretRef"),
            reference("PriorityClass", "training", Some(false), "is not there", "spec.trainer.priorityClassName"),
        ],
        memory: Some(Memory {
            family: "llama".to_owned(),
            parameters: 8_034_242_560,
            trainable: 3_407_872,
            bytes_per_process: 20 << 30,
            bytes_per_pod: 80 << 30,
            excess: Some("training is estimated to take 20.0 GiB where one GPU has 16.0 GiB; ask for more memory".to_owned()),
        }),
        room: Some(Room {
            machines: 3,
            pods: 2,
            placed: 1,
            reasons: vec![("not enough nvidia.com/gpu".to_owned(), 1), ("taint dedicated=serving".to_owned(), 1)],
            counts_running: false,
        }),
        warnings: vec!["claim checkpoints is ReadWriteOnce: 2 nodes find room only on one machine".to_owned()],
        not_checked: vec!["something".to_owned()],
    }
}

#[test]
fn everything_that_was_found_is_shown() {
    insta::assert_snapshot!("preview", preview_text::text(&preview(), Terminal::PLAIN));
    assert!(preview().is_refused());
}

#[test]
fn a_refused_job_shows_fields_lines_and_the_servers_words() {
    let refusal = Refusal {
        message: "FineTuneJob.temper.dev \"listings\" is invalid".to_owned(),
        causes: vec![Cause {
            field: "spec.dataset".to_owned(),
            message: "Invalid value: dataset cannot be changed: create a new resource with another name to change it".to_owned(),
            line: 8,
        }],
    };
    let refused = Preview { job: "listings".to_owned(), namespace: "ml".to_owned(), refusal: Some(refusal), ..Preview::default() };
    insta::assert_snapshot!("preview_refused", preview_text::text(&refused, Terminal::PLAIN));
    assert!(refused.is_refused() && !Preview::default().is_refused());
}
