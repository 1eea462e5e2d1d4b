//! Log lines, as people and as programs read them.

use crate::example::{at, when};
use temper_cli::output::cluster::log_line::{Reader, Speaker};
use temper_cli::output::terminal::Terminal;

/// What a node of two ranks writes, from its start on.
const LOG: [&str; 13] = [
    r#"{"timestamp":"2026-03-02T11:00:00Z","level":"INFO","stage":"train","node":1,"rank":null,"attempt":0,"generation":0,"message":"starting ranks 2 to 3"}"#,
    "libgomp: Thread creation failed: Resource temporarily unavailable",
    r#"{"timestamp":"2026-03-02T11:00:01Z","level":"INFO","stage":"rank","node":1,"rank":2,"attempt":0,"generation":0,"step":0,"total_steps":60,"message":"ready"}"#,
    r#"{"event":"started","worldSize":4,"resumedFromStep":0,"totalSteps":60,"parameters":{"total":1000,"trainable":10}}"#,
    r#"{"event":"heartbeat","rank":2,"step":0}"#,
    r#"{"event":"step","step":1,"epoch":0.1,"trainingLoss":1.5,"learningRate":2e-4,"gradientNorm":0.7,"tokens":2048,"targetTokens":900,"seconds":2.0,"skipped":false}"#,
    r#"{"timestamp":"2026-03-02T11:00:02Z","level":"WARN","stage":"rank","node":1,"rank":3,"attempt":0,"generation":0,"message":"two\nlines","loss":null,"why":"a disk is slow"}"#,
    r#"{"event":"warning","message":"two\nlines"}"#,
    r#"{"event":"checkpointSaved","step":10,"path":"/volumes/x"}"#,
    r#"{"timestamp":"2026-03-02T11:00:03Z","level":"ERROR","stage":"train","node":1,"rank":3,"attempt":0,"generation":1,"message":"rank 3 lost its peers","next_step":"see above"}"#,
    r#"{"event":"finished","step":60,"reason":"complete"}"#,
    r#"{"not": "ours"}"#,
    "",
];

fn reader() -> Reader {
    Reader::new(Speaker { pod: "listings-a0-1-x".to_owned(), stage: "train".to_owned(), node: 1 })
}

fn read(rank: Option<u64>, terminal: Terminal) -> String {
    let mut reader = reader();
    let lines = LOG.iter().filter_map(|line| reader.text(line, at("2026-03-02T11:00:00Z"), rank, &when(), terminal));
    lines.map(|line| line + "\n").collect()
}

#[test]
fn people_read_sentences() {
    insta::assert_snapshot!("log", read(None, Terminal::PLAIN));
}

#[test]
fn speakers_and_levels_have_colours() {
    let coloured = read(None, Terminal { colours: true, ..Terminal::PLAIN });
    assert_eq!(console::strip_ansi_codes(&coloured), read(None, Terminal::PLAIN));
    assert!(coloured.contains("\u{1b}[33mWARN\u{1b}[0m") && coloured.contains("\u{1b}[31mERROR\u{1b}[0m"), "{coloured}");
    let prefix = |rank: &str| coloured.lines().find_map(|line| line.split(' ').find(|word| word.contains(rank)).map(str::to_owned));
    assert_ne!(prefix("[1/2]").map(|text| text.replace('2', "N")), prefix("[1/3]").map(|text| text.replace('3', "N")));
}

#[test]
fn one_rank_is_read_with_what_nobody_claims() {
    let only = read(Some(3), Terminal::PLAIN);
    let lines: Vec<&str> = only.lines().collect();
    assert!(lines.iter().any(|line| line.contains("[1/3] WARN two")) && lines.iter().any(|line| line.contains("libgomp")), "{only}");
    assert!(!only.contains("[1/2]") && !only.contains("starting ranks") && !only.contains("step 1/60"), "{only}");
}

#[test]
fn programs_read_objects_with_the_pod() {
    let reader = reader();
    for line in LOG {
        let text = reader.json(line, None).expect("every line is one");
        let object: serde_json::Value = serde_json::from_str(&text).expect("an object");
        assert_eq!(object["pod"], "listings-a0-1-x", "{text}");
    }
    let text = reader.json(LOG[1], None).expect("a line");
    assert_eq!(text, r#"{"message":"libgomp: Thread creation failed: Resource temporarily unavailable","pod":"listings-a0-1-x"}"#);
    assert_eq!(reader.json(LOG[2], Some(3)), None);
}

#[test]
fn stages_without_ranks_are_named() {
    let mut reader = Reader::new(Speaker { pod: "listings-prepare-0-x".to_owned(), stage: "prepare".to_owned(), node: 0 });
    let mut read = |line: &str| reader.text(line, at("2026-03-02T11:00:00Z"), None, &when(), Terminal::PLAIN);
    let preparing = |done: u64| format!(r#"{{"event":"preparing","stage":"tokenising","done":{done},"total":100}}"#);
    assert_eq!(read(&preparing(1)).as_deref(), Some("11:00:00 [prepare] tokenising"));
    assert_eq!(read(&preparing(50)), None, "each is told once");
}
