//! What is generated is what the generator would write now.

use crate::modes::helm;
use temper_chart_tests::generated::{self, File};
use temper_chart_tests::repository;

const ADVICE: &str = "run `make generate` and commit what it writes";

#[track_caller]
fn assert_current(files: &[File]) {
    for file in files {
        let committed = repository::read(&file.path).unwrap_or_default();
        assert!(committed == file.text, "{} is stale: {ADVICE}", file.path.display());
    }
}

#[test]
fn what_is_made_from_sources_is_current() {
    assert_current(&generated::from_sources().expect("the sources are sound"));
}

#[test]
fn what_is_made_from_the_chart_is_current_and_nothing_is_left_over() {
    let mut made = generated::from_chart(&helm()).expect("the chart renders");
    assert_current(&made);
    made.extend(generated::from_sources().expect("the sources are sound"));
    assert_eq!(generated::leftovers(&made).expect("the folders are there"), Vec::<std::path::PathBuf>::new(), "{ADVICE}");
}
