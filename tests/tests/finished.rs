//! What a user does with a finished run: the commands that it prints, and its model with the adapter and without.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use serde_json::{Value, json};
use std::process::Command;
use temper_tests::binaries::succeed;
use temper_tests::job::write_rows;
use temper_tests::reference;
use temper_tests::run::Place;

/// A job whose held-out rows are a file of their own, and none of whose rows is cut.
fn place() -> Place {
    let place = Place::new(|spec| {
        spec["dataset"]["maxLength"] = 256.into();
        spec["dataset"]["validation"] = json!({"storageUri": "pvc://data/held-out.jsonl"});
    });
    write_rows(&place.data().join("held-out.jsonl"), 9);
    place
}

/// Whether an evaluation gives the loss of a summary's field, and its perplexity.
fn assert_evaluated(evaluation: &Value, summary: &Value, which: &str) {
    for (name, field) in [("loss", format!("loss{which}")), ("perplexity", format!("perplexity{which}"))] {
        let (found, expected) = (evaluation[name].as_f64().unwrap(), summary["heldOut"][&field].as_f64().unwrap());
        assert!((found - expected).abs() / expected < 1e-4, "{name}: {evaluation} and {field} of {summary}");
    }
    assert_eq!(evaluation["examples"], 9, "{evaluation}");
}

#[test]
fn the_commands_that_a_finished_run_prints_work_as_they_are_printed() {
    let place = place();
    let (success, printed) = place.run(None);
    assert!(success, "{printed}");
    let (_, next) = printed.split_once("\nNext\n").unwrap();
    let commands: Vec<&str> = next.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let [generate, evaluate] = commands.as_slice() else { panic!("two commands are expected: {printed}") };
    let typed = |line: &str| succeed(Command::new("sh").args(["-c", line]).env_remove("TEMPER_HOME"));
    let typed_for_json = |line: &str| -> Value { serde_json::from_str(&typed(&format!("{line} -o json"))).unwrap() };

    let answers = typed_for_json(generate);
    assert_eq!((answers.as_array().unwrap().len(), &answers[0]["prompt"]), (1, &Value::from("Hello!")), "{answers}");
    assert_eq!(typed(generate), format!("{}\n", answers[0]["text"].as_str().unwrap().trim_end()));

    let summary = place.summary();
    assert_eq!(summary["next"], json!(commands));
    let evaluation = typed_for_json(evaluate);
    assert_evaluated(&evaluation, &summary, "After");
    let (shown, loss) = (typed(evaluate), format!("{:.4}", evaluation["loss"].as_f64().unwrap()));
    assert!(shown.contains("perplexity") && shown.contains(&loss), "{loss} in {shown}");
}

#[test]
fn an_adapter_makes_the_difference_that_training_made() {
    let place = place();
    place.complete();
    let summary = place.summary();
    let lower = |name: &str| summary["heldOut"][name].as_f64().unwrap();
    assert!(lower("lossAfter") < 0.9 * lower("lossBefore"), "{summary}");
    let (model, adapter) = (reference::models().join("llama").display().to_string(), place.model().display().to_string());
    let rows = place.data().join("held-out.jsonl").display().to_string();
    let base = ["--model", &model];
    let adapted = ["--model", &model, "--adapter", &adapter];

    let evaluate = |of: &[&str]| place.ask(&[&["evaluate", "--data", &rows, "--format", "prompt-completion"][..], of].concat());
    assert_evaluated(&evaluate(&base), &summary, "Before");
    assert_evaluated(&evaluate(&adapted), &summary, "After");

    let generate = |of: &[&str]| place.ask(&[&["generate", "--raw", "--prompt", "the quiet", "--max-new-tokens", "24"][..], of].concat());
    let (before, after) = (generate(&base), generate(&adapted));
    assert_ne!(before[0]["tokenIds"], after[0]["tokenIds"]);
    assert_eq!(after, generate(&["--model", "registry:sentences/1"]), "the registered version is the adapter on its base model");
}

#[test]
fn tokens_are_drawn_as_the_flags_say() {
    let place = Place::new(|_| ());
    let model = reference::models().join("llama").display().to_string();
    let asked = |flags: &[&str]| {
        let generate = ["generate", "--model", &model, "--prompt", "river and stone", "--max-new-tokens", "24"];
        place.ask(&[&generate[..], flags].concat()).as_array_mut().unwrap().remove(0)
    };
    let drawn = |flags: &[&str]| asked(flags)["tokenIds"].clone();
    let likeliest = drawn(&[]);
    let warm = ["--temperature", "1.5", "--seed", "1"];
    assert_eq!(drawn(&warm), drawn(&warm), "the same seed draws the same tokens");
    assert_ne!(drawn(&warm), likeliest);
    assert_ne!(drawn(&warm), drawn(&["--temperature", "1.5", "--seed", "2"]));
    // One token is left to draw from.
    for narrow in [["--top-k", "1"], ["--top-p", "0.000001"]] {
        assert_eq!(drawn(&[&warm[..], &narrow].concat()), likeliest, "{narrow:?}");
    }
    assert_eq!(drawn(&["--temperature", "0", "--seed", "2"]), likeliest, "without temperature no seed matters");
    // The template's own words, and a message before the question.
    let prompt_tokens = |flags: &[&str]| asked(flags)["promptTokens"].as_u64().unwrap();
    assert!(prompt_tokens(&["--raw"]) < prompt_tokens(&[]) && prompt_tokens(&[]) < prompt_tokens(&["--system", "Be brief."]));
}
