use super::{Resource, parse_manifest};

const MINIMAL: &str = "\
apiVersion: temper.dev/v1alpha1
kind: FineTuneJob
metadata: {name: tiny}
spec:
  baseModel: {storageUri: pvc://models/tiny}
  dataset: {storageUri: pvc://data/rows.jsonl, format: text}
  method: {type: full}
  hyperparameters:
    maxSteps: 10
";

fn problems(text: &str) -> Vec<String> {
    parse_manifest(text).expect_err("refused").problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_minimal_manifest_is_read_with_defaults_and_lines() {
    let manifests = parse_manifest(MINIMAL).expect("valid");
    let Resource::FineTuneJob(job) = &manifests[0].resource else { panic!("a job") };
    assert_eq!(job.metadata.name.as_deref(), Some("tiny"));
    assert_eq!(job.spec.failure_policy.max_restarts, 3);
    assert_eq!(job.spec.hyperparameters.max_steps, Some(10));
    assert_eq!(manifests[0].line_of("spec.hyperparameters.maxSteps"), 9);
    assert_eq!(manifests[0].line_of("spec.hyperparameters.learningRate"), 8);
    assert_eq!(manifests[0].line_of("spec.trainer.env[0].name"), 4);
}

#[test]
fn every_document_counts_and_empty_ones_do_not() {
    let two = format!("---\n{MINIMAL}---\n---\n{}", MINIMAL.replace("tiny", "other"));
    let manifests = parse_manifest(&two).expect("valid");
    assert_eq!(manifests.iter().map(|manifest| manifest.line_of("metadata.name")).collect::<Vec<_>>(), [4, 15]);
}

#[test]
fn null_is_the_same_as_absent() {
    let manifests = parse_manifest(&MINIMAL.replace("maxSteps: 10", "maxSteps: null\n    numTrainEpochs: 2")).expect("valid");
    let Resource::FineTuneJob(job) = &manifests[0].resource else { panic!("a job") };
    assert_eq!(job.spec.hyperparameters.max_steps, None);
}

#[test]
fn what_is_wrong_is_said_with_line_field_value_reason_and_next_step() {
    let table = [
        ("maxSteps: 10", "maxstep: 10", "line 9: spec.hyperparameters.maxstep: there is no such field; did you mean maxSteps?"),
        (
            "maxSteps: 10",
            "learningRate: 0.5",
            "line 9: spec.hyperparameters.learningRate: 0.5: must be text, so that no digit changes on the way; put it in quotes: \"0.5\"",
        ),
        (
            "maxSteps: 10",
            "learningRate: \"fast\"",
            "line 9: spec.hyperparameters.learningRate: \"fast\": is not a decimal number; write it as in \"0.05\" or \"2e-4\"",
        ),
        (
            "maxSteps: 10",
            "maxSteps: 0",
            "line 9: spec.hyperparameters.maxSteps: 0: must be from 1 to 1000000000; choose a number in that range",
        ),
        ("maxSteps: 10", "maxSteps: \"10\"", "line 9: spec.hyperparameters.maxSteps: \"10\": must be a number; take away the quotes: 10"),
        (
            "maxSteps: 10",
            "maxSteps: [1]",
            "line 9: spec.hyperparameters.maxSteps: a list of 1: must be a whole number, not a list; see `kubectl explain` or the CRD's description of the field",
        ),
        ("type: full", "type: Lora", "line 7: spec.method.type: \"Lora\": must be one of lora, full; did you mean lora?"),
        (
            "pvc://models/tiny",
            "/models/tiny",
            "line 5: spec.baseModel.storageUri: \"/models/tiny\": is not a URI that models and datasets are read from; start with hf://, s3://, gs://, az://, pvc://CLAIM/PATH or (local runs only) file://",
        ),
        ("{name: tiny}", "{}", "line 3: metadata.name: is missing; add name"),
        (
            "{name: tiny}",
            "{name: Tiny_1}",
            "line 3: metadata.name: \"Tiny_1\": is not a name that Kubernetes takes; use lower-case letters, digits and '-', a letter or digit first and last",
        ),
        (", format: text", "", "line 6: spec.dataset.format: is missing; add it: What a row looks like."),
        (
            "kind: FineTuneJob",
            "kind: FinetuneJob",
            "line 2: kind: \"FinetuneJob\": is not one that this program knows; write FineTuneJob or ModelVersion",
        ),
        ("temper.dev/v1alpha1", "v1", "line 1: apiVersion: \"v1\": is not one that this program knows; write temper.dev/v1alpha1"),
    ];
    for (from, to, wanted) in table {
        assert_eq!(problems(&MINIMAL.replace(from, to)), [wanted]);
    }
}

#[test]
fn all_problems_are_reported_together() {
    let text = MINIMAL.replace("maxSteps: 10", "maxSteps: -1\n    sed: 3").replace("type: full", "type: none");
    assert_eq!(problems(&text).len(), 3);
}

#[test]
fn text_that_is_no_manifest_is_refused() {
    for text in ["", "---\n", "# nothing\n", "just text", "- a\n- b\n", "a: [1\n", "a: 1\na: 2\n", "{", "\u{0}", "apiVersion: 3"] {
        assert!(!problems(text).is_empty(), "{text:?}");
    }
    assert!(problems("kind: FineTuneJob\nspec: [1, \n  2\nfoo").concat().contains("line "), "syntax errors have a line");
}
