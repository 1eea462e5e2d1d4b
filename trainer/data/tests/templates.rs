//! Chat templates beside transformers: the same bytes, the same generation blocks, and an error where it raises one.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use temper_data::{ChatTemplate, Conversation, SpecialTokens};

/// What `tests/reference/make_template_goldens.py` prints.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Goldens {
    special_tokens: BTreeMap<String, String>,
    /// Templates that are not in `tests/templates`, by name.
    sources: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    conversation: String,
    messages: Vec<Value>,
    #[serde(default)]
    tools: Option<Value>,
    #[serde(default)]
    add_generation_prompt: bool,
    #[serde(default)]
    extra: BTreeMap<String, Value>,
    expected: Option<String>,
    generated: Vec<(usize, usize)>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates")
}

/// Names of the cases that come out differently, with how.
fn differences(goldens: &Goldens) -> Vec<String> {
    let special = SpecialTokens(goldens.special_tokens.clone());
    let mut different = Vec::new();
    for case in &goldens.cases {
        let text = match goldens.sources.get(&case.template) {
            Some(text) => text.clone(),
            None => std::fs::read_to_string(folder().join(format!("{}.jinja", case.template))).expect("a template of ours"),
        };
        let conversation = Conversation {
            messages: &case.messages,
            tools: case.tools.as_ref(),
            add_generation_prompt: case.add_generation_prompt,
            extra: case.extra.clone(),
        };
        let rendered = ChatTemplate::compile(&text, &special).and_then(|template| template.render_with_spans(&conversation));
        let name = format!("{} / {}", case.template, case.conversation);
        match (&rendered, &case.expected) {
            (Ok(rendered), Some(expected)) if rendered.text == *expected => {
                let generated: Vec<Range<usize>> = case.generated.iter().map(|&(start, end)| start..end).collect();
                if rendered.generated != generated {
                    different.push(format!("{name}: generated {:?}, expected {generated:?}", rendered.generated));
                }
            }
            (Err(_), None) => {}
            (Ok(rendered), expected) => different.push(format!("{name}:\n  rendered {:?}\n  expected {expected:?}", rendered.text)),
            (Err(error), Some(expected)) => different.push(format!("{name}: {error}\n  expected {expected:?}")),
        }
    }
    different
}

#[test]
fn our_templates_render_as_transformers_rendered_them() {
    let text = std::fs::read_to_string(folder().join("cases.json")).expect("committed cases");
    let goldens: Goldens = serde_json::from_str(&text).expect("sound cases");
    assert!(goldens.cases.len() > 80, "{} cases", goldens.cases.len());
    let different = differences(&goldens);
    assert!(different.is_empty(), "{} of {} differ:\n{}", different.len(), goldens.cases.len(), different.join("\n"));
}

/// SmolLM2's own template, those that TRL publishes for Llama 3.x, Qwen2.5, Qwen3 and others, and those of Mistral, Mixtral and Llama 3
/// that llama_cpp_python ships, rendered now by the installed transformers.
#[test]
fn published_templates_render_as_transformers_renders_them() {
    let variable = |name: &str| {
        let path = std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_file());
        path.unwrap_or_else(|| panic!("{name} names no file; run the tests by `make test`"))
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/make_template_goldens.py");
    let output = Command::new(variable("TEMPER_REFERENCE_PYTHON"))
        .arg(script)
        .arg(folder())
        .arg(variable("TEMPER_SMOLLM2"))
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let goldens: Goldens = serde_json::from_slice(&output.stdout).expect("sound cases");
    assert!(goldens.sources.len() > 20, "{} templates", goldens.sources.len());
    let of_trl = ["trl llama3_1", "trl llama3_2", "trl qwen2_5", "trl qwen3", "trl qwen3_training", "trl llama3_training"];
    let of_llama_cpp = ["llama_cpp mistral_instruct", "llama_cpp mixtral_instruct", "llama_cpp llama3_instruct"];
    for name in ["smollm2"].into_iter().chain(of_trl).chain(of_llama_cpp) {
        let rendered = goldens.cases.iter().filter(|case| case.template == name && case.expected.is_some()).count();
        assert!(rendered > 3, "{name}: {rendered} conversations");
    }
    let different = differences(&goldens);
    assert!(different.is_empty(), "{} of {} differ:\n{}", different.len(), goldens.cases.len(), different.join("\n"));
}
