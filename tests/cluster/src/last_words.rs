//! What played pods leave as their termination message when all has gone well.

use temper_contract::StageReport;
use temper_contract::report::{
    ArtifactFormat, BeforeAfter, DatasetCounts, Parameters, PrepareReport, PublishReport, Rejection, TrainReport,
};

const PARAMETERS: Parameters = Parameters { total: 139_399_488, trainable: 4_884_480 };

/// What `prepare` leaves.
pub fn prepared() -> String {
    let rejection = Rejection { count: 3, first: vec!["rows.jsonl:7".to_owned()] };
    let counts = DatasetCounts {
        rows: 103,
        accepted: 98,
        validation: 2,
        rejected: [("tooShort".to_owned(), rejection)].into(),
        tokens: 9000,
        ..DatasetCounts::default()
    };
    StageReport::Prepared(PrepareReport {
        counts,
        digest: digest(1),
        chat_template_digest: Some(digest(2)),
        base_model_digest: digest(3),
        parameters: PARAMETERS,
        memory_estimate_bytes: 1 << 30,
        seconds: 2.0,
    })
    .to_json()
}

/// What node 0 of a training leaves.
pub fn trained() -> String {
    StageReport::Trained(TrainReport {
        step: 60,
        total_steps: 60,
        reason: "complete".to_owned(),
        checkpoint: "/volumes/run/checkpoints/attempt-0/step-00000060".to_owned(),
        parameters: PARAMETERS,
        training_loss: 0.5,
        validation: Some(BeforeAfter { before: 2.4, after: 0.04 }),
        tokens: 100_000,
        tokens_per_second: 450.0,
        seconds: 222.0,
        evaluation_seconds: 12.0,
        restarts: 0,
        peak_memory_bytes: 1 << 30,
    })
    .to_json()
}

/// What `publish` leaves.
pub fn published() -> String {
    StageReport::Published(PublishReport {
        path: "/volumes/run/output".to_owned(),
        format: ArtifactFormat::PeftAdapter,
        digest: digest(4),
        files: [("adapter_config.json".to_owned(), digest(5)), ("adapter_model.safetensors".to_owned(), digest(6))].into(),
    })
    .to_json()
}

fn digest(of: u8) -> String {
    format!("sha256:{of:064}")
}
