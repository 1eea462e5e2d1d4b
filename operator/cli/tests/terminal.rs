//! `temper run` before a person: bars and colours on a terminal and nowhere else, and what Ctrl-C does.

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::Setting;
use support::started::Started;

/// A test that passes never waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

const ESCAPE: char = '\u{1b}';
/// What only bars are drawn with.
const BAR: char = '━';

/// Whether the text has a colour, or bold or dim letters.
fn is_coloured(text: &str) -> bool {
    let is_parameter = |letter: char| letter.is_ascii_digit() || letter == ';';
    text.split("\u{1b}[").skip(1).any(|rest| rest.trim_start_matches(is_parameter).starts_with('m'))
}

#[test]
fn a_terminal_gets_bars_and_colours() {
    let setting = Setting::new();
    setting.misbehave("hold-in-train", "");
    let mut started = Started::new(setting.on_a_terminal(""));
    started.wait_for("train: warning: held");
    fs::remove_file(setting.path("trainer/used-hold-in-train")).expect("removed");
    let ran = started.finish().ended_with(0);
    let frame = ran.stdout.split('\r').find(|frame| frame.contains("step 2/4  loss 2.5000")).expect("a bar of the steps");
    assert!(frame.contains(BAR) && is_coloured(frame), "{frame:?}");
    assert!(ran.stdout.contains("\u{1b}[2K"), "a bar is wiped off: {:?}", ran.stdout);
    assert!(ran.stdout.contains("\u{1b}[1mlistings is complete\u{1b}[0m"), "{:?}", ran.stdout);
    assert!(!ran.stdout.contains("train: step "), "no lines beside the bar: {:?}", ran.stdout);
}

#[test]
fn no_color_takes_the_colours_and_a_dumb_terminal_gets_plain_lines() {
    for (name, value, has_bars) in [("NO_COLOR", "1", true), ("TERM", "dumb", false)] {
        let setting = Setting::new();
        let mut command = setting.on_a_terminal("");
        command.env(name, value);
        let ran = Started::new(command).finish().ended_with(0).says("listings is complete");
        assert!(!is_coloured(&ran.stdout), "{name}: {:?}", ran.stdout);
        assert_eq!((ran.stdout.contains(BAR), ran.stdout.contains(ESCAPE)), (has_bars, has_bars), "{name}: {:?}", ran.stdout);
    }
}

#[test]
fn what_leaves_the_terminal_is_plain() {
    for (redirection, plain, shown, has_bars) in [
        ("> elsewhere", "listings is complete\n", "accepted 1,800 rows", true),
        ("2> elsewhere", "train: step 4/4", "listings is complete", false),
    ] {
        let setting = Setting::new();
        let ran = Started::new(setting.on_a_terminal(redirection)).finish().ended_with(0).says(shown);
        assert_eq!((ran.stdout.contains(BAR), is_coloured(&ran.stdout)), (has_bars, true), "{redirection}: {:?}", ran.stdout);
        let elsewhere = fs::read_to_string(setting.path("elsewhere")).expect("written");
        assert!(elsewhere.contains(plain), "{redirection}: {elsewhere}");
        assert!(!elsewhere.contains([ESCAPE, BAR, '\r']), "{redirection}: {elsewhere:?}");
    }
}

#[test]
fn a_pipe_gets_no_escape() {
    let setting = Setting::new();
    let run = ["run", "-f", "job.yaml", "--volume", "models=models", "--volume", "data=data"];
    let compared = ["--compare-prompts", "prompts.jsonl", "--expect", "^.+", "--require", "perplexityDrop>=0.6"];
    let commands: [&[&str]; 3] = [&run, &[&run[..], &compared[..]].concat(), &["run", "-f", "nowhere.yaml"]];
    for arguments in commands {
        let mut command = setting.command(arguments);
        command.env("TERM", "xterm-256color");
        let ran = Started::new(command).finish();
        assert!(!ran.stdout.is_empty() && !ran.stdout.contains([ESCAPE, BAR, '\r']), "{arguments:?}: {:?}", ran.stdout);
    }
}

/// Waits until no process works in the setting's folder: one that is killed takes a moment to be gone.
fn wait_until_deserted(setting: &Setting) {
    let folder = setting.path("").canonicalize().expect("a folder");
    let works_there = |process: &PathBuf| fs::read_link(process.join("cwd")).is_ok_and(|place| place == folder);
    let began = Instant::now();
    loop {
        let processes = fs::read_dir("/proc").expect("processes").flatten().map(|entry| entry.path());
        let left: Vec<PathBuf> = processes.filter(works_there).collect();
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{left:?} are left");
    }
}

/// Interrupts a run in its training, and lets the same command go on.
fn interrupted(setting: &Setting, mut started: Started, interrupt: impl FnOnce(&mut Started)) {
    started.wait_for("train: warning: held");
    interrupt(&mut started);
    let ran = started.finish().ended_with(130);
    let ran = ran.says("saving a checkpoint; press Ctrl-C again to stop at once").says("interrupted; the last checkpoint is of step 3");
    let next = ran.stdout.lines().last().expect("a next step");
    assert!(next.starts_with(" next: the same command continues: "), "{next:?}");
    assert!(next.trim_end().ends_with("run -f job.yaml --volume models=models --volume data=data"), "{next:?}");
    wait_until_deserted(setting);
    assert!(setting.versions().is_empty());
    setting.run(&[]).ended_with(0).says("from step 3 of 4");
    assert_eq!(setting.stages(), ["prepare", "train", "train", "publish"]);
    assert_eq!(setting.versions(), ["1"]);
}

#[test]
fn sigint_saves_a_checkpoint_leaves_no_process_and_the_same_command_completes() {
    let setting = Setting::new();
    setting.misbehave("hold-in-train", "");
    let run = setting.command(&["run", "-f", "job.yaml", "--volume", "models=models", "--volume", "data=data"]);
    interrupted(&setting, Started::new(run), Started::interrupt);
}

#[test]
fn ctrl_c_at_a_terminal_does_the_same() {
    let setting = Setting::new();
    setting.misbehave("hold-in-train", "");
    interrupted(&setting, Started::new(setting.on_a_terminal("")), Started::type_ctrl_c);
}
