use super::{JobState, Metrics, table};
use std::collections::BTreeMap;
use std::time::Duration;

fn active(reason: &str) -> JobState {
    JobState { phase: "Active", reason: reason.to_owned() }
}

/// A page on which every metric has a value.
fn page() -> String {
    let metrics = Metrics::new();
    metrics.reconciled("FineTuneJob", "success", Duration::from_millis(20));
    metrics.queue_depth("FineTuneJob", 3);
    metrics.finetunejobs(&BTreeMap::from([(active("Training"), 2)]));
    metrics.requested("apply", "jobs", "200", Some(Duration::from_millis(3)));
    metrics.scraped(true);
    metrics.ready("crds", true);
    metrics.missing_crds(&["finetunejobs.temper.dev".to_owned()]);
    metrics.text()
}

#[test]
fn the_table_lists_what_is_served_and_nothing_else() {
    let page = page();
    let described = |line: &str, prefix: &str| {
        line.strip_prefix(prefix).and_then(|rest| rest.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_owned()))
    };
    let helps = page.lines().filter_map(|line| described(line, "# HELP ")).collect::<BTreeMap<_, _>>();
    let kinds = page.lines().filter_map(|line| described(line, "# TYPE ")).collect::<BTreeMap<_, _>>();
    let rows = || table::OURS.into_iter().chain(table::PROCESS);
    assert_eq!(helps, rows().map(|row| (row.name.to_owned(), row.help.to_owned())).collect());
    assert_eq!(kinds, rows().map(|row| (row.name.to_owned(), row.kind.name().to_owned())).collect());
}

#[test]
fn the_labels_are_those_of_the_table() {
    let page = page();
    for row in table::OURS {
        let series = page.lines().find(|line| line.starts_with(row.name)).unwrap_or_else(|| panic!("{} has a value", row.name));
        for label in row.labels {
            assert!(series.contains(&format!("{label}=\"")), "{series} has no label {label}");
        }
    }
}

#[test]
fn a_state_that_no_job_is_in_any_more_is_gone() {
    let metrics = Metrics::new();
    metrics.finetunejobs(&BTreeMap::from([(active("Preparing"), 1)]));
    metrics.finetunejobs(&BTreeMap::from([(active("Training"), 4)]));
    let page = metrics.text();
    assert!(page.contains("temper_finetunejobs{phase=\"Active\",reason=\"Training\"} 4"), "{page}");
    assert!(!page.contains("Preparing"), "{page}");
}

#[test]
fn a_hook_runs_before_each_scrape() {
    let metrics = Metrics::new();
    metrics.before_scrape(|metrics| metrics.leader(true));
    assert!(metrics.text().contains("temper_operator_leader 1"));
}

#[test]
fn the_page_of_the_docs_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operator-metrics.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(page, table::markdown(), "docs/operator-metrics.md is out of date: `make generate` writes it");
}
