//! `temper run` of a small model, killed at moments from prepare to register: what was committed stays, and the adapter's bytes are those of
//! a run that nobody disturbed.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use temper_tests::run::Place;

/// A small job on two ranks that may be restarted so often.
fn place(restarts: u64) -> Place {
    Place::new(|spec| spec["failurePolicy"]["maxRestarts"] = restarts.into())
}

/// Where the moments come from.
const SEED: u64 = 20;
/// Moments at which a run is killed in each of the five stages.
const MOMENTS_A_STAGE: usize = 4;
/// How often a moment that comes after the end of what is to be killed is looked for again, earlier.
const TRIES: u32 = 6;
/// Time between looks at which processes there are.
const LOOK: Duration = Duration::from_millis(2);

/// The first line of the summary, which is printed when everything is done.
const SUMMARY: &str = "sentences is complete";
/// Seen when the last stage that is a process is over.
const PUBLISHED: &str = "publish is over";
/// Stages that are processes, in their order.
const PROCESSES: [&str; 3] = ["prepare", "train", "publish"];

/// Numbers from 0 up to 1, the same each time (Knuth's generator).
struct Random(u64);

impl Random {
    fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 31) as f64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Prepare,
    Train,
    Evaluate,
    Publish,
    Register,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Prepare, Self::Train, Self::Evaluate, Self::Publish, Self::Register];

    /// What a run does until this is seen. Nothing is seen between a step and the evaluation after it, but for the first and the last.
    fn until(seen: &str) -> Self {
        match seen {
            SUMMARY => Self::Register,
            PUBLISHED => Self::Publish,
            "train: evaluating" => Self::Evaluate,
            "publish starts" => Self::Train,
            _ if seen.contains("held-out loss") => Self::Evaluate,
            _ if seen.starts_with("train: ") => Self::Train,
            _ => Self::Prepare,
        }
    }
}

/// The part of an undisturbed run from one thing that is seen of it to the next.
#[derive(Debug)]
struct Gap {
    stage: Stage,
    /// Seen at its beginning; nothing at the run's own.
    after: Option<String>,
    lasts: Duration,
}

/// What is to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    /// The command itself, with which everything ends.
    All,
    /// One of the stage's processes: while ranks train or evaluate, the one of this number among them.
    One(usize),
}

/// A run, and what is seen of it: lines that it prints, and processes that come and go.
struct Watched {
    child: Child,
    lines: Receiver<String>,
    /// How many of [`PROCESSES`] have been seen.
    started: usize,
    is_published: bool,
}

enum Seen {
    Something(String),
    /// The time that was waited for has come.
    Time,
    /// The run is over.
    End,
}

impl Watched {
    fn start(place: &Place) -> Self {
        let (child, reader) = place.start(None);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                // Read to the end even when nobody listens: the run must not find its output closed.
                let _ = sender.send(line);
            }
        });
        Self { child, lines, started: 0, is_published: false }
    }

    /// What is seen next, until that time if one is given.
    fn look(&mut self, until: Option<Instant>) -> Seen {
        loop {
            if let Some(seen) = self.change_of_process() {
                return Seen::Something(seen);
            }
            match self.lines.recv_timeout(LOOK) {
                Ok(line) => {
                    if let Some(seen) = alike(&line) {
                        return Seen::Something(seen);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Seen::End,
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Seen::Time;
            }
        }
    }

    fn change_of_process(&mut self) -> Option<String> {
        if self.is_published {
            return None;
        }
        let there: Vec<String> = children(self.child.id()).into_iter().filter_map(command).collect();
        let is_there = |stage: &str| there.iter().any(|command| command == stage);
        if let Some(stage) = (self.started..PROCESSES.len()).rev().find(|&stage| is_there(PROCESSES[stage])) {
            self.started = stage + 1;
            return Some(format!("{} starts", PROCESSES[stage]));
        }
        self.is_published = self.started == PROCESSES.len() && !is_there("publish");
        self.is_published.then(|| PUBLISHED.to_owned())
    }

    /// Kills; whether what was to be killed lived.
    fn kill(&self, stage: Stage, victim: Victim) -> bool {
        let of_command = children(self.child.id());
        let (mut alive, name): (Vec<u32>, &str) = match stage {
            Stage::Train | Stage::Evaluate => (of_command.into_iter().flat_map(children).collect(), "rank"),
            Stage::Prepare => (of_command, "prepare"),
            Stage::Publish | Stage::Register => (of_command, "publish"),
        };
        alive.retain(|&pid| command(pid).as_deref() == Some(name));
        let pid = match victim {
            Victim::All => self.child.id(),
            Victim::One(_) if alive.is_empty() => return false,
            Victim::One(number) => alive[number % alive.len()],
        };
        kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).is_ok()
    }

    /// Waits for the end.
    fn finish(mut self) -> ExitStatus {
        self.lines.iter().for_each(drop);
        self.child.wait().unwrap()
    }
}

/// What every run prints alike of a line: no figures of a step, and of the steps the first and the last, as a clock thins out the rest.
fn alike(line: &str) -> Option<String> {
    let text = line.split("  ").next().unwrap_or_default();
    let step = text.strip_prefix("train: step ").and_then(|rest| rest.split_once('/'));
    step.is_none_or(|(step, total)| step == "1" || step == total).then(|| text.to_owned())
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let texts = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    texts.flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Which of the trainer's commands a process is. One that has ended is none: it has no command line any more.
fn command(pid: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?.split('\0').nth(1).map(str::to_owned)
}

/// An undisturbed run up to its summary, and the adapter that it makes.
fn undisturbed() -> (Vec<Gap>, Vec<u8>) {
    let place = place(5);
    let mut watched = Watched::start(&place);
    let (mut gaps, mut after, mut since) = (Vec::new(), None, Instant::now());
    let mut is_done = false;
    while !is_done {
        let Seen::Something(seen) = watched.look(None) else { panic!("no summary came: {gaps:?}") };
        let now = Instant::now();
        is_done = seen == SUMMARY;
        gaps.push(Gap { stage: Stage::until(&seen), after: after.replace(seen), lasts: now - since });
        since = now;
    }
    assert!(watched.finish().success());
    (gaps, place.adapter())
}

/// Moments spread evenly over each stage: a gap's number and, after the point, how much of the gap is over.
fn moments(gaps: &[Gap]) -> Vec<f64> {
    let mut random = Random(SEED);
    let mut moments = Vec::new();
    for stage in Stage::ALL {
        let of_stage: Vec<usize> = (0..gaps.len()).filter(|&gap| gaps[gap].stage == stage).collect();
        assert!(!of_stage.is_empty(), "nothing is seen of {stage:?}: {gaps:?}");
        for share in 0..MOMENTS_A_STAGE {
            let place = (share as f64 + random.draw()) / MOMENTS_A_STAGE as f64 * of_stage.len() as f64;
            moments.push(of_stage[place as usize] as f64 + place.fract());
        }
    }
    moments
}

/// Runs the job and kills at a moment: how the run ended, unless what was to be killed had ended by then.
fn strike(place: &Place, gaps: &[Gap], moment: f64, victim: Victim) -> Option<ExitStatus> {
    let gap = &gaps[moment as usize];
    let wait = gap.lasts.mul_f64(moment.fract());
    let mut watched = Watched::start(place);
    let mut due = gap.after.is_none().then(|| Instant::now() + wait);
    loop {
        match watched.look(due) {
            Seen::End => break,
            Seen::Something(seen) if seen == SUMMARY => break,
            Seen::Something(seen) if due.is_none() => due = (gap.after.as_ref() == Some(&seen)).then(|| Instant::now() + wait),
            // The moment has come, or the gap is over sooner than in the undisturbed run. A process that is not there yet is waited for.
            Seen::Something(_) | Seen::Time => {
                if watched.kill(gap.stage, victim) {
                    let status = watched.finish();
                    let is_too_late = victim == Victim::All && status.success();
                    return (!is_too_late).then_some(status);
                }
            }
        }
    }
    assert!(watched.finish().success(), "a run that nobody has disturbed yet fails");
    None
}

#[test]
fn a_run_killed_at_any_moment_ends_with_the_same_bytes() {
    let (gaps, expected) = undisturbed();
    let (mut struck, mut too_late) = (BTreeMap::<Stage, usize>::new(), 0);
    for (number, planned) in moments(&gaps).into_iter().enumerate() {
        // In turns, but for registering, which is the command's own.
        let is_register = gaps[planned as usize].stage == Stage::Register;
        let victim = if number % 2 == 0 || is_register { Victim::All } else { Victim::One(number / 2) };
        let hit = (0..TRIES).find_map(|late| {
            let (place, moment) = (place(5), (planned - 0.25 * f64::from(late)).max(0.0));
            let status = strike(&place, &gaps, moment, victim);
            too_late += usize::from(status.is_none());
            status.map(|status| (place, moment, status))
        });
        let Some((place, moment, status)) = hit else { panic!("moment {planned:.2}: {victim:?} was gone each time: {gaps:?}") };
        let gap = &gaps[moment as usize];
        let what = format!("seed {SEED}, moment {moment:.2}: {victim:?} killed in {:?}, after {:?}", gap.stage, gap.after);
        match victim {
            Victim::All => assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{what}"),
            // Whoever started it starts another.
            Victim::One(_) => assert!(status.success(), "{what}: {status}"),
        }
        place.complete();
        assert!(place.adapter() == expected, "{what}");
        *struck.entry(gap.stage).or_default() += 1;
    }
    println!("seed {SEED}: killed {struck:?}; {too_late} came too late and were taken earlier");
    assert_eq!(struck.len(), Stage::ALL.len(), "{struck:?}");
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
