//! `temper logs` against logs that end, break off and hang.

mod server;

use Step::{Await, Cut, Hang, Job, Line, Pod, Say};
use serde_json::{Value, json};
use server::{Server, Step};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// A test that passes never waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The job, with a condition that says how it stands.
fn job(type_: &str, reason: &str) -> Value {
    json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob",
        "metadata": { "name": "tiny", "namespace": "ml", "uid": "u", "generation": 1, "resourceVersion": "0" },
        "spec": {
            "baseModel": { "storageUri": "pvc://models/tiny" },
            "dataset": { "storageUri": "pvc://data/rows.jsonl", "format": "text" },
            "method": { "type": "full" },
            "hyperparameters": { "maxSteps": 60 },
            "trainer": { "numNodes": 2, "numProcPerNode": 2 },
        },
        "status": { "conditions": [{
            "type": type_, "status": if type_ == "Ready" { "False" } else { "True" }, "reason": reason, "message": "as the test says",
            "lastTransitionTime": "2026-03-02T10:00:00Z",
        }] },
    })
}

fn training() -> Value {
    job("Ready", "Training")
}

/// A pod of a try's node, in a state: `running`, `terminated`, or a reason to wait.
fn pod(stage: &str, attempt: u64, node: u64, state: &str) -> Value {
    let name = format!("tiny-{stage}-{attempt}-{node}");
    let (phase, container) = match state {
        "running" => ("Running", json!({ "running": {} })),
        "terminated" => ("Succeeded", json!({ "terminated": { "exitCode": 0 } })),
        reason => ("Pending", json!({ "waiting": { "reason": reason, "message": "as the test says" } })),
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "ml", "uid": name, "resourceVersion": "0",
            "labels": {
                "temper.dev/job-name": "tiny", "temper.dev/stage": stage, "temper.dev/attempt": attempt.to_string(),
                "batch.kubernetes.io/job-completion-index": node.to_string(),
            },
        },
        "spec": { "containers": [{ "name": "trainer", "image": "i" }] },
        "status": { "phase": phase, "containerStatuses": [{
            "name": "trainer", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": container,
        }] },
    })
}

struct Ran {
    code: Option<i32>,
    stdout: Vec<String>,
    stderr: String,
}

/// Runs `temper logs tiny` to its end.
fn logs(server: &Server, arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": format!("http://{}", server.address) } }],
        "users": [{ "name": "u", "user": {} }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u", "namespace": "ml" } }],
    });
    std::fs::write(&kubeconfig, text.to_string()).expect("written");
    let child = Command::new(env!("CARGO_BIN_EXE_temper"))
        .env_clear()
        .env("TZ", "UTC")
        .arg("logs")
        .arg("tiny")
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(PATIENCE) else {
        let pid = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        let output = receiver.recv().expect("killed").expect("waited for");
        panic!(
            "it did not end:\n{}\n{}\n{:#?}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            server.asked()
        );
    };
    let output = output.expect("waited for");
    let lines = String::from_utf8(output.stdout).expect("text").lines().map(undated).collect();
    Ran { code: output.status.code(), stdout: lines, stderr: String::from_utf8(output.stderr).expect("text") }
}

/// The line without its time, which has a date where the test does not run on the day of the logs.
fn undated(line: &str) -> String {
    line.split_once('[').map_or_else(|| line.to_owned(), |(_, rest)| format!("[{rest}"))
}

#[test]
fn the_logs_of_all_nodes_are_one() {
    let server = Server::start(training())
        .with_pod(pod("prepare", 0, 0, "terminated"), vec![vec![Line(1, "prepared")]])
        .with_pod(pod("train", 0, 0, "running"), vec![vec![Line(1000, "a"), Line(3000, "c"), Line(5000, "e")]])
        .with_pod(pod("train", 0, 1, "running"), vec![vec![Line(2000, "b"), Line(4000, "d")]]);
    let ran = logs(&server, &["--tail", "10", "--since", "5m"]);
    assert_eq!((ran.code, ran.stdout), (Some(0), ["[0] a", "[1] b", "[0] c", "[1] d", "[0] e"].map(str::to_owned).to_vec()));
    let asked = server.asked();
    let of_log: Vec<&String> = asked.iter().filter(|target| target.contains("/log?")).collect();
    assert!(
        of_log.len() == 2 && of_log.iter().all(|target| target.contains("tailLines=10") && target.contains("sinceSeconds=300")),
        "{asked:?}"
    );
}

#[test]
fn a_log_that_hangs_holds_no_other_back() {
    // The second pod's log ends the job only when the first pod's lines can have been printed; the first never says anything more.
    let server = Server::start(training()).with_pod(pod("train", 0, 0, "running"), vec![vec![Line(1000, "first"), Hang]]).with_pod(
        pod("train", 0, 1, "running"),
        vec![
            vec![Line(2000, "second"), Line(3000, "third"), Job(job("Complete", "Complete")), Pod(pod("train", 0, 1, "terminated"))],
            vec![],
        ],
    );
    let ran = logs(&server, &["-f"]);
    assert_eq!((ran.code, ran.stdout), (Some(0), ["[0] first", "[1] second", "[1] third"].map(str::to_owned).to_vec()), "{}", ran.stderr);
    assert!(ran.stderr.contains("==> tiny is complete"), "{}", ran.stderr);
}

#[test]
fn a_lost_connection_loses_no_line_and_repeats_none() {
    let ended = vec![Pod(pod("train", 0, 0, "terminated")), Job(job("Complete", "Complete"))];
    let again = vec![Line(4100, "b"), Line(4200, "c"), Line(4200, "c"), Line(6000, "d")];
    let server = Server::start(training()).with_pod(
        pod("train", 0, 0, "running"),
        vec![
            vec![Line(1000, "a"), Line(4100, "b"), Line(4200, "c"), Cut],
            [again.clone(), ended].concat(),
            [again, vec![Line(6500, "e")]].concat(),
        ],
    );
    let ran = logs(&server, &["-f"]);
    assert_eq!(
        (ran.code, ran.stdout),
        (Some(0), ["[0] a", "[0] b", "[0] c", "[0] c", "[0] d", "[0] e"].map(str::to_owned).to_vec()),
        "{}",
        ran.stderr
    );
    let asked = server.asked();
    let since: Vec<&str> = asked.iter().filter_map(|target| target.split("sinceTime=").nth(1)).collect();
    assert_eq!(since.len(), 2, "{asked:#?}");
    assert!(since[0].starts_with("2026-03-02T11%3A00%3A03Z"), "{since:?}");
}

#[test]
fn it_goes_on_with_new_attempts_and_stages_until_the_job_ends() {
    let server = Server::start(training())
        .with_pod(pod("prepare", 0, 0, "terminated"), vec![vec![Line(1, "prepared")]])
        .with_pod(
            pod("train", 0, 0, "running"),
            vec![
                vec![Line(1000, "attempt 0"), Pod(pod("train", 0, 0, "terminated")), Pod(pod("train", 1, 0, "ImagePullBackOff"))],
                vec![Line(1000, "attempt 0"), Line(1500, "last words"), Pod(pod("train", 1, 0, "running"))],
            ],
        )
        .with_log(
            "tiny-train-1-0",
            vec![vec![Line(2000, "attempt 1"), Pod(pod("train", 1, 0, "terminated")), Pod(pod("publish", 0, 0, "running"))], vec![]],
        )
        .with_log(
            "tiny-publish-0-0",
            vec![vec![Line(3000, "published"), Pod(pod("publish", 0, 0, "terminated")), Job(job("Complete", "Complete"))], vec![]],
        );
    let ran = logs(&server, &["-f"]);
    assert_eq!(ran.stdout, ["[0] attempt 0", "[0] last words", "[0] attempt 1", "[publish] published"], "{}", ran.stderr);
    for told in [
        "==> attempt 0 of train",
        "tiny-train-1-0 waits: ImagePullBackOff",
        "==> attempt 1 of train",
        "==> attempt 0 of publish",
        "==> tiny is complete",
    ] {
        assert!(ran.stderr.contains(told), "{told}:\n{}", ran.stderr);
    }
    assert!(!server.asked().iter().any(|target| target.contains("prepare-0-0/log")), "what is over when it begins is left out");
}

#[test]
fn a_stage_is_followed_to_its_own_end() {
    let mut moved_on = training();
    moved_on["status"]["attempts"] = json!([
        { "stage": "prepare", "number": 0, "startedAt": "2026-03-02T10:00:00Z", "finishedAt": "2026-03-02T10:00:01Z", "end": "Succeeded" },
        { "stage": "train", "number": 0, "startedAt": "2026-03-02T10:00:02Z" },
    ]);
    let server = Server::start(training()).with_pod(
        pod("prepare", 0, 0, "running"),
        vec![
            vec![Line(1000, "reading"), Pod(pod("prepare", 0, 0, "terminated")), Job(moved_on), Pod(pod("train", 0, 0, "running"))],
            vec![],
        ],
    );
    let ran = logs(&server, &["-f", "--stage", "prepare"]);
    assert_eq!((ran.code, ran.stdout), (Some(0), vec!["[prepare] reading".to_owned()]), "{}", ran.stderr);
    assert!(ran.stderr.contains("the job goes on"), "{}", ran.stderr);
}

/// A line that a rank of node 1 logs.
fn said(rank: u64, message: &str) -> &'static str {
    let line = json!({ "level": "INFO", "stage": "rank", "node": 1, "rank": rank, "message": message });
    Box::leak(line.to_string().into_boxed_str())
}

#[test]
fn one_rank_is_asked_of_its_own_node_only() {
    let server = Server::start(training())
        .with_pod(pod("train", 0, 0, "running"), vec![vec![Line(500, "not this node")]])
        .with_pod(pod("train", 0, 1, "running"), vec![vec![Line(1000, said(2, "I am 2")), Line(2000, said(3, "I am 3"))]]);
    assert_eq!(logs(&server, &["--rank", "3"]).stdout, ["[1/3] I am 3"]);
    assert!(!server.asked().iter().any(|target| target.contains("train-0-0/log")));
}

#[test]
fn a_rank_that_the_job_does_not_have_is_refused_at_once() {
    let server = Server::start(training())
        .with_pod(pod("train", 0, 0, "running"), vec![vec![Line(500, "not this one"), Hang]])
        // The job had three nodes when this attempt began.
        .with_pod(pod("train", 0, 2, "running"), vec![vec![Line(1000, said(5, "I am 5"))]]);
    for arguments in [&["--rank", "99"][..], &["--rank", "99", "-f"]] {
        let none = logs(&server, arguments);
        assert_eq!(none.code, Some(7), "{}", none.stderr);
        for part in ["--rank 99: tiny has no such rank, but 4 ranks", "numNodes 2 with numProcPerNode 2", "0 to 3"] {
            assert!(none.stderr.contains(part), "{part}: {}", none.stderr);
        }
    }
    assert!(!server.asked().iter().any(|target| target.contains("/log?")), "no log is opened");
    assert_eq!(logs(&server, &["--rank", "5"]).stdout, ["[1/5] I am 5"]);
    // It has this rank, and nobody runs it at the moment.
    let gone = logs(&server, &["--rank", "3"]);
    assert!(gone.code == Some(7) && gone.stderr.contains("the pod of tiny that this rank runs in is not there"), "{}", gone.stderr);
}

/// The server, which counts lines, would count those of the other ranks as well.
#[test]
fn the_last_lines_of_a_rank_are_lines_of_that_rank() {
    let chatter = (0..20).map(|number| Line(4000 + number, said(2, "chatter")));
    let spoken = [Line(1000, said(3, "one")), Line(2000, said(3, "two")), Line(3000, said(3, "three"))];
    let log: Vec<Step> = spoken.into_iter().chain(chatter).collect();
    let formats: [&[&str]; 2] = [&[], &["-o", "json"]];
    for more in formats {
        let server = Server::start(training()).with_pod(pod("train", 0, 1, "running"), vec![log.clone()]);
        let ran = logs(&server, &[&["--rank", "3", "--tail", "2"], more].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let [first, second] = &ran.stdout[..] else { panic!("{:?}", ran.stdout) };
        assert!(first.contains("two") && second.contains("three"), "{:?}", ran.stdout);
        assert!(!server.asked().iter().any(|target| target.contains("tailLines")), "{:?}", server.asked());
    }
}

#[test]
fn what_a_rank_says_is_followed_from_its_last_lines_on() {
    let backlog = vec![Line(1000, said(3, "one")), Line(2000, said(3, "two")), Line(3000, said(2, "chatter"))];
    let ended = vec![Line(4000, said(3, "three")), Pod(pod("train", 0, 1, "terminated")), Job(job("Complete", "Complete"))];
    let server = Server::start(training()).with_pod(
        pod("train", 0, 1, "running"),
        // What was there; the same again, with what comes; nothing after the pod's end.
        vec![backlog.clone(), [backlog, ended].concat(), vec![]],
    );
    let ran = logs(&server, &["-f", "--rank", "3", "--tail", "1"]);
    assert_eq!((ran.code, ran.stdout), (Some(0), ["[1/3] two", "[1/3] three"].map(str::to_owned).to_vec()), "{}", ran.stderr);
    let asked = server.asked();
    let of_log: Vec<_> = asked.iter().filter(|target| target.contains("/log?")).map(|target| target.contains("follow=true")).collect();
    assert!(of_log.starts_with(&[false, true]), "{asked:#?}");
}

#[test]
fn what_is_not_there_says_why() {
    let mut gone = job("Ready", "BackingOff");
    gone["status"]["attempts"] = json!([{
        "stage": "train", "number": 0, "startedAt": "2026-03-02T10:00:00Z", "finishedAt": "2026-03-02T10:00:01Z", "end": "Exited", "exitCode": 13,
        "message": "rank 3 lost its peers",
    }]);
    let server = Server::start(gone);
    let ran = logs(&server, &[]);
    assert_eq!(ran.code, Some(7));
    assert!(
        ran.stderr.contains("tiny has no pods (BackingOff: as the test says); the last words of attempt 0 of train: rank 3 lost its peers"),
        "{}",
        ran.stderr
    );
    let ran = logs(&server, &["--attempt", "0"]);
    assert!(
        ran.stderr.contains("the pods of attempt 0 of train of tiny are gone; its last words: rank 3 lost its peers"),
        "{}",
        ran.stderr
    );
    let ran = logs(&server, &["--attempt", "7"]);
    assert!(ran.stderr.contains("tiny has no attempt 7 of train"), "{}", ran.stderr);
}

#[test]
fn programs_get_one_object_a_line() {
    let server = Server::start(training()).with_pod(
        pod("train", 0, 0, "running"),
        vec![vec![Line(1000, r#"{"level":"INFO","rank":0,"message":"ready"}"#), Line(2000, "plain")]],
    );
    let ran = logs(&server, &["-o", "json"]);
    assert_eq!(
        ran.stdout,
        [r#"{"level":"INFO","rank":0,"message":"ready","pod":"tiny-train-0-0"}"#, r#"{"message":"plain","pod":"tiny-train-0-0"}"#]
    );
}

#[test]
fn a_chatty_pod_and_a_late_one_come_out_in_order() {
    let chatty: Vec<Step> = (0..50).map(|number| Line(1000 + number, "chatty")).chain([Say("sent")]).collect();
    let server = Server::start(training())
        .with_pod(pod("train", 0, 0, "running"), vec![chatty])
        .with_pod(pod("train", 0, 1, "running"), vec![vec![Line(900, "before"), Await("sent"), Line(60_000 - 1, "after")]]);
    let ran = logs(&server, &[]);
    assert_eq!(ran.stdout.len(), 52, "{:?}", ran.stdout);
    assert_eq!((ran.stdout[0].as_str(), ran.stdout[51].as_str()), ("[1] before", "[1] after"));
}
