//! `temper` against a real API server, as people run it. The operator is played: its part is a status that is written by hand.

mod dry_run;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use temper_cluster_tests::control_plane::Credentials;
use temper_cluster_tests::{ControlPlane, Namespace, binaries, edit, wait};
use temper_crds::{FineTuneJob, ModelVersion};

/// The administrator's kubeconfig.
fn admin() -> PathBuf {
    ControlPlane::shared().folder().join("admin.kubeconfig")
}

/// `temper ARGUMENTS -n NAMESPACE`.
fn command(kubeconfig: &Path, namespace: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries::ours("temper"));
    command.env_clear().args(arguments).arg("--kubeconfig").arg(kubeconfig).stdin(Stdio::null());
    if !arguments.contains(&"-A") {
        command.args(["-n", namespace]);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    #[track_caller]
    fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn says(self, parts: &[&str]) -> Self {
        let whole = format!("{}\n{}", self.stdout, self.stderr);
        for part in parts {
            assert!(whole.contains(part), "no {part:?} in\n{whole}");
        }
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}:\n{}\n{}", self.stdout, self.stderr))
    }
}

fn temper(namespace: &Namespace, arguments: &[&str]) -> Ran {
    command(&admin(), namespace.name(), arguments).output().unwrap().into()
}

fn manifest() -> Value {
    serde_saphyr::from_str(include_str!("../../../../deploy/samples/finetunejob.yaml")).unwrap()
}

/// The same with fields changed, in a file.
fn file(folder: &Path, changes: &[(&str, Value)]) -> String {
    let manifest = changes.iter().fold(manifest(), |manifest, (pointer, value)| edit::with(&manifest, pointer, value.clone()));
    let path = folder.join("job.yaml");
    std::fs::write(&path, manifest.to_string()).unwrap();
    path.to_string_lossy().into_owned()
}

async fn create(namespace: &Namespace) -> FineTuneJob {
    namespace.create_object(manifest()).await
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({ "type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z" })
}

/// Writes a status as the operator would.
async fn write_status(namespace: &Namespace, status: Value) -> FineTuneJob {
    let jobs = namespace.api::<FineTuneJob>();
    let patch = Patch::Merge(json!({ "status": status }));
    jobs.patch_status("listings", &PatchParams::default(), &patch).await.unwrap()
}

/// Trained for a while.
fn training(generation: i64) -> Value {
    json!({
        "observedGeneration": generation,
        "conditions": [
            condition("Ready", "False", "Training", "attempt 0 trains on 1 x 2 processes"),
            condition("Running", "True", "Training", "attempt 0 trains on 1 x 2 processes"),
            condition("Suspended", "False", "Training", "the job is not suspended"),
        ],
        "trainerStatus": { "step": 17, "totalSteps": 40, "progressPercentage": 42, "metrics": { "trainingLoss": "1.25" } },
        "checkpoint": { "step": 10, "uri": "pvc://runs/checkpoints/x" },
        "attempts": [
            { "stage": "prepare", "number": 0, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:09Z", "end": "Succeeded" },
            { "stage": "train", "number": 0, "startedAt": "2026-01-01T00:00:10Z" },
        ],
        "dataset": { "rows": 2103, "accepted": 2000, "validation": 40, "tokens": 1_234_567, "rejected": { "tooShort": 63 } },
        "restarts": 1,
    })
}

fn suspended(generation: i64, step: u64) -> Value {
    json!({
        "observedGeneration": generation,
        "conditions": [
            condition("Ready", "False", "Suspended", "spec.suspend is true"),
            condition("Suspended", "True", "Suspended", "spec.suspend is true"),
        ],
        "checkpoint": { "step": step, "uri": format!("pvc://runs/checkpoints/{step}") },
    })
}

#[tokio::test]
async fn get_lists_what_kubectl_lists() {
    let namespace = Namespace::create("cli-get").await;
    temper(&namespace, &["get"]).ended_with(0).says(&["No resources found"]);
    create(&namespace).await;
    write_status(&namespace, training(1)).await;
    let table = temper(&namespace, &["get"]).ended_with(0).stdout;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "STATUS", "STEP", "TOTAL", "LOSS", "ETA", "RESTARTS", "AGE"], "{table}");
    assert_eq!(rows[1][..6], ["listings", "Training", "17", "40", "1.25", "1"], "{table}");
    let (_, kubectls) = crate::kubectl::as_admin(&["-n", namespace.name(), "get", "ftj"], "");
    let head = |text: &str| text.lines().next().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(head(&table), head(&kubectls), "the columns are the CRD's");

    assert_eq!(temper(&namespace, &["get", "ftj", "-o", "name"]).ended_with(0).stdout, "finetunejob.temper.dev/listings\n");
    let one = temper(&namespace, &["get", "listings", "-o", "json"]).ended_with(0).json();
    assert_eq!((&one["kind"], &one["status"]["trainerStatus"]["step"]), (&json!("FineTuneJob"), &json!(17)));
    assert!(one["metadata"]["managedFields"].is_null());
    let list = temper(&namespace, &["get", "ftj", "-A", "-o", "json"]).ended_with(0).json();
    assert!(list["items"].as_array().unwrap().iter().any(|item| item["metadata"]["namespace"] == namespace.name()));
    let yaml = temper(&namespace, &["get", "listings", "-o", "yaml"]).ended_with(0).stdout;
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap()["metadata"], one["metadata"]);

    temper(&namespace, &["get", "ftj", "listing"])
        .ended_with(7)
        .says(&["there is no FineTuneJob listing in namespace", "did you mean listings?"]);
    temper(&namespace, &["get", "mv", "x-v1"]).ended_with(7).says(&["there is no ModelVersion x-v1", "has no ModelVersion"]);
}

#[tokio::test]
async fn get_watch_shows_each_change_until_nobody_reads() {
    let namespace = Namespace::create("cli-watch").await;
    create(&namespace).await;
    let mut child = command(&admin(), namespace.name(), &["get", "ftj", "--watch"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().starts_with("NAME"));
    assert!(next().starts_with("listings"));
    write_status(&namespace, training(1)).await;
    assert_eq!(next().split_whitespace().take(3).collect::<Vec<_>>(), ["listings", "Training", "17"]);
    drop(lines);
    // The reader is gone: the next change ends it.
    write_status(&namespace, suspended(1, 20)).await;
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn describe_tells_the_story() {
    let namespace = Namespace::create("cli-describe").await;
    let job = create(&namespace).await;
    write_status(&namespace, training(1)).await;
    let event = |name: &str, regarding: Value, type_: &str, reason: &str, note: &str| {
        json!({
            "metadata": { "name": name }, "eventTime": "2096-01-01T00:00:00.000000Z", "type": type_, "reason": reason, "note": note, "action": "x",
            "reportingController": "temper.dev/operator", "reportingInstance": "x", "regarding": regarding,
        })
    };
    let regarding = |kind: &str, name: &str, uid: &str| json!({ "kind": kind, "name": name, "uid": uid, "namespace": namespace.name() });
    let own = regarding("FineTuneJob", "listings", &job.uid().unwrap());
    namespace.create_object::<Event>(event("a", own, "Normal", "Training", "attempt 0 trains")).await;
    let of_pod = regarding("Pod", "listings-a0-0-x", "7");
    namespace.create_object::<Event>(event("b", of_pod, "Warning", "FailedMount", "no such claim")).await;
    let of_another = regarding("Pod", "listings-adapter-0", "8");
    namespace.create_object::<Event>(event("c", of_another, "Warning", "FailedMount", "not ours")).await;
    let told = temper(&namespace, &["describe", "listings"]).ended_with(0).says(&[
        "listings: Training",
        "attempt 0 trains on 1 x 2 processes",
        "42%  step 17 of 40",
        "2,103 rows read, 2,000 trained on",
        "tooShort",
        "step 10, pvc://runs/checkpoints/x",
        "Pod/listings-a0-0-x",
        "no such claim",
        "temper logs listings -n",
    ]);
    assert!(!told.stdout.contains("not ours"), "{}", told.stdout);
    temper(&namespace, &["describe", "ftj"]).ended_with(2);

    let sample: Value = serde_saphyr::from_str(include_str!("../../../../deploy/samples/modelversion.yaml")).unwrap();
    let version: ModelVersion = namespace.create_object(sample).await;
    temper(&namespace, &["describe", "mv", &version.name_any()]).ended_with(0).says(&[&version.spec.uri, &version.spec.digest]);
}

/// A command that waits while the test plays the operator.
fn started(namespace: &Namespace, arguments: &[&str]) -> Child {
    command(&admin(), namespace.name(), arguments).spawn().unwrap()
}

async fn until_asked(namespace: &Namespace, suspend: bool) -> i64 {
    let job = wait::until(&namespace.api::<FineTuneJob>(), "listings", "asked", |job| job.spec.suspend == suspend).await;
    job.metadata.generation.unwrap()
}

#[tokio::test]
async fn suspend_waits_for_the_checkpoint_and_resume_for_the_training() {
    let namespace = Namespace::create("cli-hold").await;
    create(&namespace).await;
    write_status(&namespace, training(1)).await;
    temper(&namespace, &["resume", "listings", "--nodes", "2"]).ended_with(7).says(&["not suspended", "temper suspend listings"]);

    let child = started(&namespace, &["suspend", "listings"]);
    let generation = until_asked(&namespace, true).await;
    write_status(&namespace, suspended(generation, 17)).await;
    let ran = Ran::from(child.wait_with_output().unwrap()).ended_with(0);
    assert_eq!(ran.stdout, "listings is suspended at step 17 of 40 and holds no pods; temper resume listings lets it go on\n");
    assert!(ran.stderr.contains("checkpoint of step 17 is written: pvc://runs/checkpoints/17"), "{}", ran.stderr);

    let child = started(&namespace, &["resume", "listings", "--nodes", "3"]);
    let generation = until_asked(&namespace, false).await;
    let job = namespace.api::<FineTuneJob>().get("listings").await.unwrap();
    assert_eq!((job.spec.trainer.num_nodes, job.spec.trainer.num_proc_per_node), (3, 2));
    let stalled = condition("Stalled", "True", "VolumeUnavailable", "there is no claim models");
    let mut status = suspended(generation, 17);
    status["conditions"] = json!([condition("Ready", "False", "VolumeUnavailable", "there is no claim models"), stalled]);
    write_status(&namespace, status).await;
    Ran::from(child.wait_with_output().unwrap())
        .ended_with(7)
        .says(&["listings cannot go on (VolumeUnavailable): there is no claim models", "describe listings"]);

    let ran = temper(&namespace, &["suspend", "listings", "--no-wait"]).ended_with(0);
    assert!(ran.stdout.starts_with("listings is asked to stop"), "{}", ran.stdout);
    temper(&namespace, &["suspend", "listings", "--timeout", "1s"]).ended_with(7).says(&["is not suspended yet after 1 s"]);
    let managers = namespace.api::<FineTuneJob>().get("listings").await.unwrap().metadata.managed_fields.unwrap();
    assert!(managers.iter().any(|entry| entry.manager.as_deref() == Some("temper")), "{managers:?}");

    write_status(&namespace, json!({ "conditions": [condition("Complete", "True", "Complete", "done")] })).await;
    temper(&namespace, &["suspend", "listings"]).ended_with(0).says(&["listings is finished (Complete): nothing runs"]);
    temper(&namespace, &["resume", "listings"]).ended_with(7).says(&["it cannot go on"]);
}

#[tokio::test]
async fn what_keeps_one_from_the_cluster_has_a_next_step() {
    let control_plane = ControlPlane::shared();
    let stranger = control_plane.kubeconfig(control_plane.url(), "cli-stranger", &Credentials::Token("nobody".to_owned()));
    let run = |kubeconfig: &Path, more: &[&str]| Ran::from(command(kubeconfig, "default", &[&["get"], more].concat()).output().unwrap());
    run(&stranger, &[]).ended_with(7).says(&["does not know who you are", "log in again"]);
    let closed = temper_cluster_tests::loopback::port(temper_cluster_tests::loopback::address());
    let away = control_plane.kubeconfig(&format!("https://{closed}"), "cli-away", &Credentials::admin());
    run(&away, &[]).ended_with(7).says(&["cannot be reached", "refused", "--context"]);
    run(&admin(), &["--context", "test"]).ended_with(7).says(&["has no context test", "did you mean tests?"]);
    run(Path::new("/nowhere/kubeconfig"), &[]).ended_with(7).says(&["no kubeconfig file: there is no /nowhere/kubeconfig", "KUBECONFIG"]);
    let none = Command::new(binaries::ours("temper")).env_clear().env("HOME", "/nowhere").arg("get").output().unwrap();
    Ran::from(none).ended_with(7).says(&["no kubeconfig file"]);
}

#[tokio::test]
async fn kubectl_runs_it_as_a_plugin_and_completes_it() {
    let namespace = Namespace::create("cli-plugin").await;
    create(&namespace).await;
    let folder = tempfile::tempdir().unwrap();
    for name in ["kubectl-temper", "kubectl_complete-temper"] {
        std::os::unix::fs::symlink(binaries::ours("temper"), folder.path().join(name)).unwrap();
    }
    let kubectl = |arguments: &[&str]| {
        let mut command = Command::new(binaries::kubernetes("kubectl"));
        command.env_clear().env("PATH", folder.path()).env("KUBECONFIG", admin()).args(arguments);
        Ran::from(command.output().unwrap())
    };
    kubectl(&["temper", "get", "-n", namespace.name(), "-o", "name"]).ended_with(0).says(&["finetunejob.temper.dev/listings"]);
    kubectl(&["temper", "logs", "--help"]).ended_with(0).says(&["Usage: kubectl temper logs"]);
    write_status(&namespace, suspended(1, 10)).await;
    kubectl(&["temper", "describe", "listings", "-n", namespace.name()]).ended_with(0).says(&["kubectl temper resume listings"]);
    kubectl(&["__complete", "temper", "su"]).ended_with(0).says(&["suspend"]);
    let names = kubectl(&["__complete", "temper", "logs", "-n", namespace.name(), "li"]).ended_with(0);
    assert_eq!(names.stdout.lines().next(), Some("listings"), "{}", names.stdout);
    let jobs: Api<FineTuneJob> = namespace.api();
    assert_eq!(jobs.list(&ListParams::default()).await.unwrap().items.len(), 1);
}
