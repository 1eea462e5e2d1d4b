//! Made-up series of trainers and operators, and the alerts that are to fire on them.

/// Made-up series, and which alerts fire at a minute of them.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) series: Vec<(String, &'static str)>,
    pub(super) minute: u32,
    pub(super) firing: &'static [&'static str],
}

/// A series of a trainer.
fn trainer(metric: &str, values: &'static str) -> (String, &'static str) {
    pod(metric, "listings-a0-0-x", values)
}

fn pod(metric: &str, pod: &str, values: &'static str) -> (String, &'static str) {
    (format!("temper_{metric}{{namespace=\"ml\",pod=\"{pod}\",job_name=\"listings\",rank=\"0\"}}"), values)
}

fn operator(metric: &str, labels: &str, values: &'static str) -> (String, &'static str) {
    (format!("{metric}{{job=\"temper-operator\",namespace=\"temper-system\",pod=\"operator-0\"{labels}}}"), values)
}

/// An operator that is well.
fn healthy() -> Vec<(String, &'static str)> {
    vec![
        operator("up", "", "1+0x200"),
        operator("temper_operator_leader", "", "1+0x200"),
        operator("temper_operator_ready", ",condition=\"crds\"", "1+0x200"),
    ]
}

fn jobs(phase: &str, reason: &str, values: &'static str) -> (String, &'static str) {
    operator("temper_finetunejobs", &format!(",phase=\"{phase}\",reason=\"{reason}\""), values)
}

/// Cases in which the operator is well.
fn training() -> Vec<Case> {
    let standing = |gpu: &'static str| {
        vec![trainer("training_step", "5+0x200"), trainer("training_total_steps", "100+0x200"), trainer("gpu_memory_bytes", gpu)]
    };
    let case = |name, series, minute, firing| Case { name, series, minute, firing };
    vec![
        case(
            "a GPU is held for half an hour without a step",
            standing("1000000000+0x200"),
            31,
            &["TemperGPUHeldWithoutProgress job_name=listings namespace=ml pod=listings-a0-0-x"],
        ),
        case("a CPU is", standing("0+0x200"), 31, &["TemperTrainingWithoutProgress job_name=listings namespace=ml pod=listings-a0-0-x"]),
        case("it began less than half an hour ago", standing("1000000000+0x200"), 25, &[]),
        case(
            "steps are slow",
            vec![
                trainer("training_step", "0+0x20 1+0x20 2+0x20 3+0x20"),
                trainer("training_total_steps", "100+0x200"),
                trainer("gpu_memory_bytes", "1+0x200"),
            ],
            65,
            &[],
        ),
        case(
            "the last step is done and the model is being saved",
            vec![
                trainer("training_step", "100+0x200"),
                trainer("training_total_steps", "100+0x200"),
                trainer("gpu_memory_bytes", "1+0x200"),
            ],
            60,
            &[],
        ),
        case(
            "the ranks do not find each other",
            vec![trainer("training_step", "0+0x200"), trainer("training_total_steps", "0+0x200"), trainer("gpu_memory_bytes", "1+0x200")],
            40,
            &["TemperGPUHeldWithoutProgress job_name=listings namespace=ml pod=listings-a0-0-x"],
        ),
        case(
            "three restarts in place within an hour",
            vec![trainer("training_restarts", "0+0x10 1+0x10 2+0x10 3+0x60"), trainer("training_attempt", "0+0x200")],
            45,
            &["TemperJobStartsAgainAndAgain job_name=listings namespace=ml"],
        ),
        case(
            "three new attempts within an hour",
            vec![
                pod("training_restarts", "a0", "0+0x10 stale"),
                pod("training_attempt", "a0", "0+0x10 stale"),
                pod("training_restarts", "a1", "_x12 0+0x10 stale"),
                pod("training_attempt", "a1", "_x12 1+0x10 stale"),
                pod("training_restarts", "a2", "_x25 0+0x10 stale"),
                pod("training_attempt", "a2", "_x25 2+0x10 stale"),
                pod("training_restarts", "a3", "_x40 0+0x30"),
                pod("training_attempt", "a3", "_x40 3+0x30"),
            ],
            45,
            &["TemperJobStartsAgainAndAgain job_name=listings namespace=ml"],
        ),
        case(
            "three restarts, long ago",
            vec![trainer("training_restarts", "0+0x5 1+0x5 2+0x5 3+0x150"), trainer("training_attempt", "0+0x200")],
            120,
            &[],
        ),
        case("two restarts", vec![trainer("training_restarts", "0+0x10 1+0x10 2+0x60"), trainer("training_attempt", "0+0x200")], 45, &[]),
        case(
            "the loss is not a number",
            vec![
                trainer("training_loss", "2.5 2.4 NaN NaN NaN"),
                trainer("training_step", "21 22 23 24 25"),
                trainer("training_resumed_from_step", "20+0x4"),
            ],
            4,
            &["TemperLossNotFinite job_name=listings namespace=ml pod=listings-a0-0-x"],
        ),
        case(
            "no step of these ranks has told a loss yet",
            vec![trainer("training_loss", "NaN+0x4"), trainer("training_step", "20+0x4"), trainer("training_resumed_from_step", "20+0x4")],
            4,
            &[],
        ),
        case(
            "the loss is infinite",
            vec![trainer("training_loss", "2.5 2.4 Inf Inf Inf")],
            4,
            &["TemperLossNotFinite job_name=listings namespace=ml pod=listings-a0-0-x"],
        ),
        case(
            "steps are skipped again and again",
            vec![trainer("training_loss", "2.5+0x30"), trainer("training_skipped_steps_total", "0+1x30")],
            16,
            &["TemperLossNotFinite job_name=listings namespace=ml pod=listings-a0-0-x"],
        ),
        case(
            "one step is skipped",
            vec![trainer("training_loss", "2.5+0x30"), trainer("training_skipped_steps_total", "0+0x10 1+0x20")],
            16,
            &[],
        ),
        case(
            "the newest checkpoint is older than two hours",
            vec![trainer("checkpoint_age_seconds", "0+60x200"), trainer("training_started_timestamp_seconds", "60+0x200")],
            130,
            &["TemperCheckpointTooOld job_name=listings namespace=ml pod=listings-a0-0-x"],
        ),
        case(
            "training goes on from an old one",
            vec![trainer("checkpoint_age_seconds", "86400+60x200"), trainer("training_started_timestamp_seconds", "0+0x60 3600+0x200")],
            130,
            &[],
        ),
        case("checkpoints are written", vec![trainer("checkpoint_age_seconds", "1+60x60 1+60x60 1+60x60")], 130, &[]),
        case(
            "none was ever written",
            vec![trainer("checkpoint_age_seconds", "0+0x200"), trainer("training_started_timestamp_seconds", "60+0x200")],
            130,
            &["TemperCheckpointTooOld job_name=listings namespace=ml pod=listings-a0-0-x"],
        ),
        case(
            "none was written yet",
            vec![trainer("checkpoint_age_seconds", "0+0x200"), trainer("training_started_timestamp_seconds", "0+0x60 3600+0x200")],
            130,
            &[],
        ),
        case(
            "a claim is missing",
            vec![jobs("Active", "VolumeUnavailable", "2+0x60")],
            20,
            &["TemperJobsNeedAttention reason=VolumeUnavailable"],
        ),
        case("a job has failed that wanted too much", vec![jobs("Failed", "InsufficientMemory", "1+0x60")], 20, &[]),
        case("a claim was missing for a moment", vec![jobs("Active", "VolumeUnavailable", "0+0x5 2+0x10 0+0x60")], 20, &[]),
        case("jobs run and end", vec![jobs("Active", "Training", "2+0x60"), jobs("Complete", "Complete", "0+1x60")], 50, &[]),
        case(
            "three jobs fail within an hour",
            vec![jobs("Failed", "InvalidInput", "5+0x70 6+0x10 8+0x60")],
            85,
            &["TemperJobsFail reason=InvalidInput"],
        ),
        case(
            "the first three jobs that there are fail",
            vec![jobs("Failed", "Diverged", "0+0x10 1+0x10 3+0x60")],
            40,
            &["TemperJobsFail reason=Diverged"],
        ),
        case("many jobs failed long ago", vec![jobs("Failed", "InvalidInput", "50+0x200")], 120, &[]),
    ]
}

/// Cases about the operator itself.
fn operators() -> Vec<Case> {
    let well = |without: &str, more: Vec<(String, &'static str)>| {
        let mut series: Vec<_> = healthy().into_iter().filter(|(name, _)| without.is_empty() || !name.starts_with(without)).collect();
        series.extend(more);
        series
    };
    let case = |name, series, minute, firing| Case { name, series, minute, firing };
    let requests = |outcome: &str, values| {
        operator("temper_operator_api_requests_total", &format!(",verb=\"apply\",resource=\"jobs\",outcome=\"{outcome}\""), values)
    };
    let reconciles = |outcome: &str, values| {
        operator("temper_operator_reconciles_total", &format!(",kind=\"FineTuneJob\",outcome=\"{outcome}\""), values)
    };
    let scrapes = |outcome: &str, values| operator("temper_operator_scrapes_total", &format!(",outcome=\"{outcome}\""), values);
    let second = |metric: &str, values| (operator(metric, "", values).0.replace("operator-0", "operator-1"), values);
    vec![
        case("all is well", well("", vec![]), 60, &[]),
        case("nothing is scraped", well("up", vec![]), 10, &["TemperOperatorDown"]),
        case("no replica answers", well("up", vec![operator("up", "", "0+0x60")]), 10, &["TemperOperatorDown"]),
        case("one of two replicas answers", well("", vec![second("up", "0+0x60")]), 10, &[]),
        case(
            "another operator answers",
            well("up", vec![(operator("up", "", "1+0x60").0.replace("temper-system", "other"), "1+0x60")]),
            10,
            &["TemperOperatorDown"],
        ),
        case(
            "nobody leads",
            well("temper_operator_leader", vec![operator("temper_operator_leader", "", "0+0x60")]),
            10,
            &["TemperOperatorHasNoLeader"],
        ),
        case("one of two leads", well("", vec![second("temper_operator_leader", "0+0x60")]), 10, &[]),
        case("two lead", well("", vec![second("temper_operator_leader", "1+0x60")]), 10, &["TemperOperatorHasTwoLeaders"]),
        case("two seem to lead while the office changes hands", well("", vec![second("temper_operator_leader", "0+0x5 1 0+0x60")]), 7, &[]),
        case(
            "CRDs are missing",
            well("temper_operator_ready", vec![operator("temper_operator_ready", ",condition=\"crds\"", "0+0x60")]),
            15,
            &["TemperOperatorNotReady condition=crds pod=operator-0"],
        ),
        case(
            "CRDs come late",
            well("temper_operator_ready", vec![operator("temper_operator_ready", ",condition=\"crds\"", "0+0x5 1+0x60")]),
            15,
            &[],
        ),
        case(
            "a right is missing",
            well("", vec![requests("403", "0+5x60"), requests("200", "0+50x60")]),
            25,
            &["TemperOperatorForbidden resource=jobs verb=apply"],
        ),
        case("requests conflict", well("", vec![requests("409", "0+5x60"), requests("200", "0+50x60")]), 25, &[]),
        case(
            "a fifth of the reconciles fail",
            well("", vec![reconciles("success", "0+8x60"), reconciles("unreachable", "0+2x60")]),
            30,
            &["TemperReconcileErrors"],
        ),
        case("some reconciles conflict", well("", vec![reconciles("success", "0+8x60"), reconciles("conflict", "0+2x60")]), 30, &[]),
        case(
            "trainers cannot be read",
            well("", vec![scrapes("failure", "0+4x60"), scrapes("success", "0+1x60")]),
            35,
            &["TemperScrapesFail"],
        ),
        case("some scrapes fail", well("", vec![scrapes("failure", "0+1x60"), scrapes("success", "0+4x60")]), 35, &[]),
    ]
}

/// Every case.
pub(super) fn cases() -> Vec<Case> {
    let mut all = training();
    all.iter_mut().for_each(|case| case.series.extend(healthy()));
    all.extend(operators());
    all
}
