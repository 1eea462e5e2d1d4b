use super::{ChatTemplate, Conversation};
use crate::testing::{byte_tokenizer, message, special};
use crate::tokenizer::{SpecialTokens, Tokenizer};
use serde_json::json;
use std::collections::BTreeMap;
use temper_contract::config;

fn compile(text: &str) -> Result<ChatTemplate, crate::Error> {
    ChatTemplate::compile(text, &SpecialTokens(BTreeMap::from([("bos_token".to_owned(), "<s>".to_owned())])))
}

#[test]
fn a_failure_names_the_line_of_the_template() {
    let failure = |text: &str| {
        let messages = [message("user", "hi")];
        compile(text).and_then(|template| template.render(&Conversation::new(&messages))).expect_err("it fails").to_string()
    };
    let raised = failure("{{ bos_token }}\n{% for m in messages %}\n{{ raise_exception('Only ' ~ m.role) }}\n{% endfor %}");
    assert_eq!(raised, "failed to render the chat template at line 3: the template says: Only user");
    let syntax = failure("a\n{% if %}");
    assert!(syntax.starts_with("failed to compile the chat template at line 2: "), "{syntax}");
    for (text, part) in [
        ("\n{{ messages[9].role }}", "line 2"),
        ("{{ 'a'.nothing() }}", "has no method nothing"),
        ("{{ messages.append(1) }}", "append would change a value"),
        ("{{ nothing | tojson }}", "cannot be written as JSON"),
        ("{{ 'a' + 1 }}", "line 1"),
        ("{% include 'x' %}", "line 1"),
    ] {
        let failure = failure(text);
        assert!(failure.contains(part), "{failure}");
    }
}

#[test]
fn a_prompt_ends_with_the_opening_of_an_answer() {
    let source = byte_tokenizer(
        true,
        Some("{{ bos_token }}{% for m in messages %}{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}A{% endif %}"),
    );
    let tokenizer = Tokenizer::open(&source).expect("a tokenizer");
    let template = ChatTemplate::choose(&config::ChatTemplate::TokenizerDefault, false, &source, &tokenizer).expect("a template");
    let ids = template.render_prompt(&tokenizer, &[message("user", "x")], None).expect("a prompt");
    assert_eq!(ids, [special("<s>"), 120, special("<|end|>"), 65]);
    let inline = ChatTemplate::choose(&config::ChatTemplate::Inline("y".into()), false, &source, &tokenizer).expect("a template");
    assert_ne!(inline.digest(), template.digest());
    let without = byte_tokenizer(true, None);
    let error = ChatTemplate::choose(&config::ChatTemplate::TokenizerDefault, false, &without, &tokenizer).expect_err("none");
    assert!(error.to_string().contains("spec.dataset.chatTemplate"), "{error}");
}

#[test]
fn extra_variables_and_tools_reach_the_template() {
    let template = compile("{{ tools | length if tools else 'none' }} {{ style }}").expect("a template");
    let tools = json!([{"name": "f"}]);
    let extra = BTreeMap::from([("style".to_owned(), json!("brief"))]);
    assert_eq!(template.render(&Conversation { tools: Some(&tools), extra, ..Conversation::default() }).expect("a text"), "1 brief");
    assert_eq!(template.render(&Conversation::default()).expect("a text"), "none ");
}

#[test]
fn a_message_cannot_forge_a_generation_block() {
    let template = compile("{% generation %}{{ messages[0].content }}{% endgeneration %}").expect("a template");
    let error = template.render(&Conversation::new(&[message("user", "\u{fdd0}")])).expect_err("a mark");
    assert!(error.to_string().contains("U+FDD0"), "{error}");
}

#[test]
fn what_a_generation_block_sets_stays_inside() {
    let template = compile("{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}").expect("a template");
    let rendered = template.render_with_spans(&Conversation::default()).expect("a text");
    assert_eq!((rendered.text.as_str(), rendered.generated.as_slice()), ("21", std::slice::from_ref(&(0..1))));
}

/// As Python reads and writes it: an approximation would make other tokens of it.
#[test]
fn numbers_of_rows_keep_every_digit() {
    let template = compile("{{ tools | tojson }}").expect("a template");
    let text = r#"[94.95886283158103, -122.84720198321438, 0.1]"#;
    let tools = serde_json::from_str(text).expect("JSON");
    assert_eq!(template.render(&Conversation { tools: Some(&tools), ..Conversation::default() }).expect("a text"), text);
}
