//! `temper run` of a small model, killed at moments from prepare to register: what was committed stays, and the adapter's bytes are those of
//! a run that nobody disturbed.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use rustix::process::{Pid, Signal, kill_process};
use std::io::BufRead;
use temper_tests::run::Place;

/// A small job on two ranks that may be restarted so often.
fn place(restarts: u64) -> Place {
    Place::new(|spec| spec["failurePolicy"]["maxRestarts"] = restarts.into())
}

/// Moments at which a run is killed, spread evenly over its output.
const MOMENTS: usize = 20;

/// All processes below `pid`, parents first.
fn descendants(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let texts = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> =
        texts.flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
    children.into_iter().flat_map(|child| std::iter::once(child).chain(descendants(child))).collect()
}

fn kill(pid: u32) {
    // A process that has just ended by itself is as good as killed.
    let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL);
}

#[test]
fn a_run_killed_at_any_moment_ends_with_the_same_bytes() {
    let undisturbed = place(5);
    let (success, text) = undisturbed.run(None);
    assert!(success, "{text}");
    let (expected, lines) = (undisturbed.adapter(), text.lines().count());
    assert!(lines >= MOMENTS, "{lines} lines cannot tell {MOMENTS} moments apart");

    for moment in 0..MOMENTS {
        let place = place(5);
        let (mut child, reader) = place.start(None);
        // The line after which to strike: one of this moment's share, chosen by a fixed rule.
        let line = (moment * lines + (moment * 7919) % lines) / MOMENTS;
        let mut output = reader.lines();
        output.by_ref().take(line + 1).for_each(|line| drop(line.unwrap()));
        // In turns: the command itself, with which everything ends, and the last process below it (a rank, while there are ranks).
        if moment % 2 == 0 {
            kill(child.id());
        } else {
            descendants(child.id()).last().copied().into_iter().for_each(kill);
        }
        output.for_each(drop);
        child.wait().unwrap();
        place.complete();
        assert!(place.adapter() == expected, "moment {moment}: killed after line {line} of {lines}");
    }
}

#[test]
fn a_run_killed_inside_each_commit_ends_with_the_same_bytes() {
    let undisturbed = place(0);
    let (success, text) = undisturbed.run(None);
    assert!(success, "{text}");
    let expected = undisturbed.adapter();
    let trainer = temper_trainer::kill_point::ALL.map(|name| format!("group:{name}"));
    let command = temper_cli::local::fault::ALL.map(String::from);
    for name in trainer.iter().chain(&command) {
        let place = place(0);
        let (success, text) = place.run(Some(name));
        assert!(!success, "{name} was never reached:\n{text}");
        place.complete();
        assert!(place.adapter() == expected, "{name}");
    }
}
