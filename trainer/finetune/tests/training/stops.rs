//! Told to stop at any moment of its life, as process 1 of a container too, a stage ends with 143 and loses nothing.

use crate::job::{Job, Running, children, send, send_to_all};
use rustix::process::Signal;
use std::os::unix::process::CommandExt;
use std::process::Command;
use temper_contract::{Event, ExitCode, LastWord, env};

/// The same command as the first process of process and mount namespaces of its own, as in a container.
fn as_process_1(job: &Job, command: &Command) -> Command {
    let mut confined = Command::new("unshare");
    confined.args(["--user", "--map-root-user", "--pid", "--mount-proc", "--fork", "--kill-child", "--"]);
    confined.arg(command.get_program()).args(command.get_args());
    job.isolate(&mut confined);
    confined.process_group(0);
    confined
}

/// The process that `unshare` has started.
fn inner(running: &Running) -> i32 {
    let [inner] = children(running.pid())[..] else { panic!("one child is expected") };
    inner
}

/// What is to be waited for before the signal is sent.
type Moment = (&'static str, fn(&mut Running));

const MOMENTS: [Moment; 6] = [
    ("its ranks load", |running| running.wait_for_log("starting ranks")),
    ("it has just started", |running| drop(running.wait_for("start", |event| matches!(event, Event::Started { .. })))),
    ("it evaluates", |running| drop(running.wait_for("evaluation", |event| matches!(event, Event::Preparing { .. })))),
    ("it trains", |running| running.wait_for_step(5)),
    ("it writes a checkpoint", |running| drop(running.wait_for("checkpoint", |event| matches!(event, Event::CheckpointSaved { .. })))),
    ("it evaluates again", |running| {
        running.wait_for_step(8);
        running.wait_for("evaluation", |event| matches!(event, Event::Preparing { .. }));
    }),
];

fn job() -> Job {
    Job::new().ranks(2).with(|config| {
        config.hyperparameters.max_steps = Some(16);
        config.evaluation.eval_steps = Some(8);
        config.evaluation.per_device_eval_batch_size = 1;
        config.checkpoint.save_steps = Some(1);
    })
}

#[test]
fn training_stops_at_any_moment_and_goes_on() {
    let reference = job();
    reference.complete();
    for (name, moment) in MOMENTS {
        let job = job();
        job.must("prepare");
        let mut running = Running::start(as_process_1(&job, &job.command("train")));
        moment(&mut running);
        send(inner(&running), Signal::TERM);
        let outcome = running.finish();
        assert_eq!(outcome.code(), 143, "{name}\n{}", outcome.log);
        assert!(outcome.restarts().is_empty(), "{name}: {:?}", outcome.restarts());
        let LastWord::Ended(message) = job.last_word() else { panic!("{name}: it is not done") };
        assert_eq!((message.reason, message.in_place_restarts), (ExitCode::Terminated, Some(0)), "{name}");
        job.must("train");
        job.must("publish");
        assert_eq!(job.adapter(), reference.adapter(), "{name}");
    }
}

#[test]
fn a_signal_to_the_whole_process_group_while_ranks_load_is_a_stop() {
    let job = job().with(|config| config.failure.max_restarts = 0);
    job.must("prepare");
    let mut running = job.start("train");
    running.wait_for_log("starting ranks");
    // The ranks do not handle it yet, and die of it.
    send_to_all(&running, Signal::TERM);
    assert_eq!(running.finish().code(), 143);
    job.must("train");
}

#[test]
fn stages_without_ranks_stop_as_process_1() {
    let job = Job::with_rows(200_000, None);
    let mut running = Running::start(as_process_1(&job, &job.command("prepare")));
    running.wait_for("row", |event| matches!(event, Event::Preparing { .. }));
    send(inner(&running), Signal::TERM);
    let outcome = running.finish();
    assert_eq!(outcome.code(), 143, "{}", outcome.log);
    let LastWord::Ended(message) = job.last_word() else { panic!("it is not done") };
    assert_eq!(message.reason, ExitCode::Terminated);
}

#[test]
fn process_1_buries_orphans() {
    let job = job().with(|config| config.hyperparameters.max_steps = Some(1_000_000));
    job.must("prepare");
    let mut running = Running::start(as_process_1(&job, &job.command("train")));
    running.wait_for_step(1);
    // A shell inside that ends at once leaves its child to process 1, and that child ends when its input does.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut shell = Command::new("nsenter");
    shell.args(["--target", &inner(&running).to_string(), "--user", "--pid", "--mount", "--preserve-credentials"]);
    shell.args(["sh", "-c", "exec 3<&0; cat <&3 >/dev/null 2>&1 & echo $!"]).stdin(reader);
    let output = shell.output().expect("nsenter is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pid: i32 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("the number inside");
    // The shell's own handle on the pipe's end goes with the command.
    drop(shell);
    let outside = children(inner(&running)).into_iter().find(|child| inner_number(*child) == Some(pid)).expect("it is process 1's now");
    drop(writer);
    // Each further step is another look; a supervisor looks ten times a second, a step takes milliseconds.
    let is_buried = (0..20_000).any(|_| {
        running.wait_for("step", |event| matches!(event, Event::Step(_)));
        !std::path::Path::new(&format!("/proc/{outside}")).exists()
    });
    assert!(is_buried, "an orphan that has ended stays in the table of processes");
    send(inner(&running), Signal::TERM);
    assert_eq!(running.finish().code(), 143);
}

/// A process's number in its own namespace.
fn inner_number(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().last()?.parse().ok()
}

#[test]
fn what_a_stage_did_is_its_last_word() {
    let job = Job::new();
    for stage in ["prepare", "train", "publish"] {
        for _ in 0..2 {
            // Said again by a stage that finds its work done.
            let _ = std::fs::remove_file(job.termination_path());
            job.must(stage);
            let LastWord::Done(report) = job.last_word() else { panic!("{stage} is done") };
            let folder = &job.config.run_folder;
            let expected = match stage {
                "prepare" => {
                    temper_contract::StageReport::Prepared(crate::job::read(&folder.join(temper_contract::layout::PREPARE_REPORT)))
                }
                "train" => temper_contract::StageReport::Trained(job.train_report()),
                _ => temper_contract::StageReport::Published(job.publish_report()),
            };
            assert_eq!(report, expected);
        }
    }
    let mut nowhere = Job::new();
    nowhere.variable(env::TERMINATION_MESSAGE_PATH, "/nowhere/termination-log");
    nowhere.must("prepare");
}
