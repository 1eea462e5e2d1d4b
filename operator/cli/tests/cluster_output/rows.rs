//! Tables of objects.

use crate::example::{complete, failed, job, stalled, suspended, training, version, when};
use serde_json::{Value, json};
use temper_cli::output::cluster::columns::{Cell, table};
use temper_cli::output::cluster::job_rows::{self, Look};
use temper_cli::output::cluster::version_rows;
use temper_cli::output::terminal::Terminal;

fn jobs() -> Vec<Value> {
    let mut deleted = job("going", training());
    deleted["metadata"]["deletionTimestamp"] = json!("2026-03-02T11:59:00Z");
    vec![
        job("new", Value::Null),
        job("listings", training()),
        job("titles", complete()),
        job("broken", failed("RestartsExhausted", "maxRestarts (3) is used up")),
        job("waiting", stalled("VolumeUnavailable", "there is no claim datasets")),
        job("held", suspended()),
        deleted,
    ]
}

fn shown(look: Look, terminal: Terminal) -> String {
    let rows: Vec<Vec<Cell>> = jobs().iter().map(|job| job_rows::row(job, look, when().now)).collect();
    table(&job_rows::head(look), &rows, terminal)
}

#[test]
fn jobs_have_kubectls_columns() {
    insta::assert_snapshot!("jobs", shown(Look::default(), Terminal::PLAIN));
    insta::assert_snapshot!("jobs_wide", shown(Look { namespace: true, wide: true, bar: false }, Terminal::PLAIN));
}

#[test]
fn on_a_terminal_there_are_bars_and_colours() {
    let text = shown(Look { bar: true, ..Look::default() }, Terminal { colours: true, bars: true, live: true });
    insta::assert_snapshot!("jobs_on_a_terminal", text.replace('\u{1b}', "ESC"));
}

#[test]
fn versions_have_kubectls_columns() {
    let rows = |look: Look| vec![version_rows::row(&version(), look, when().now)];
    insta::assert_snapshot!("versions", table(&version_rows::head(Look::default()), &rows(Look::default()), Terminal::PLAIN));
    let wide = Look { wide: true, namespace: true, bar: false };
    insta::assert_snapshot!("versions_wide", table(&version_rows::head(wide), &rows(wide), Terminal::PLAIN));
}

#[test]
fn fields_of_a_later_version_disturb_nothing() {
    let mut later = job("listings", training());
    later["spec"]["dataset"]["format"] = json!("preference");
    later["status"]["conditions"][0]["severity"] = json!(7);
    let row = job_rows::row(&later, Look::default(), when().now);
    assert_eq!(
        row.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>(),
        ["listings", "Training", "252", "600", "1.2345", "12m30s", "2", "120m"]
    );
}
