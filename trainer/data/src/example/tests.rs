use super::{Encoder, Tokens};
use crate::rejections::Reason;
use crate::rows::Row;
use crate::testing::{byte_tokenizer, message, special};
use serde_json::{Value, json};
use temper_artifact::TokenizerSource;
use temper_contract::config::{ChatTemplate, Dataset, DatasetFormat, ExcessLengthStrategy, Filters};

const PLAIN: &str = "{{ bos_token }}{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content | trim }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}";
/// Drops the thinking of all turns but the last, as Qwen3 does.
const FORGETFUL: &str = "{% for m in messages %}<|start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}<think>{{ m.thinking or '' }}</think>{% endif %}{{ m.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}";
const MARKED: &str = "{% for m in messages %}<|start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|end|>{% endgeneration %}{% else %}{{ m.content }}<|end|>{% endif %}\n{% endfor %}";

fn dataset(format: DatasetFormat, template: &str, max_length: usize, excess_length_strategy: ExcessLengthStrategy) -> Dataset {
    Dataset {
        path: "rows.jsonl".into(),
        fetch: None,
        fetch_validation: None,
        format,
        validation: None,
        chat_template: ChatTemplate::Inline(template.to_owned()),
        max_length,
        excess_length_strategy,
        packing: false,
        filters: Filters::default(),
        seed: 0,
    }
}

fn encoder(format: DatasetFormat, template: &str, max_length: usize, strategy: ExcessLengthStrategy) -> Encoder {
    Encoder::new(&byte_tokenizer(true, None), &dataset(format, template, max_length, strategy), None, None).expect("an encoder")
}

/// The text of each run of target tokens.
fn learned(encoder: &Encoder, tokens: &Tokens) -> Vec<String> {
    let flagged: Vec<(u32, u8)> = tokens.ids.iter().copied().zip(tokens.targets.iter().copied()).collect();
    let runs = flagged.chunk_by(|one, other| one.1 == other.1).filter(|run| run[0].1 == 1);
    runs.map(|run| encoder.tokenizer().decode(&run.iter().map(|(id, _)| *id).collect::<Vec<u32>>(), false)).collect()
}

fn of_messages(template: &str, messages: Vec<Value>) -> Result<Vec<String>, Reason> {
    let encoder = encoder(DatasetFormat::Messages, template, 1000, ExcessLengthStrategy::Drop);
    let tokens = encoder.encode(&Row::Messages { messages, tools: None }).map_err(|rejected| rejected.reason)?;
    Ok(learned(&encoder, &tokens))
}

fn conversation() -> Vec<Value> {
    vec![
        message("system", "s"),
        message("user", "hi"),
        message("assistant", " one \n"),
        message("user", "and?"),
        message("assistant", "two"),
    ]
}

#[test]
fn every_assistant_turn_with_its_end_token_is_learned() {
    assert_eq!(of_messages(PLAIN, conversation()).expect("sound"), ["one<|end|>", "two<|end|>"]);
    let tool_turn =
        vec![message("user", "a"), message("assistant", "b"), message("assistant", "c"), message("tool", "d"), message("user", "e")];
    assert_eq!(of_messages(PLAIN, tool_turn).expect("sound"), ["b<|end|>", "c<|end|>"]);
    let first = vec![message("assistant", "hello"), message("user", "x"), message("assistant", "")];
    assert_eq!(of_messages(PLAIN, first).expect("sound"), ["hello<|end|>", "<|end|>"]);
}

#[test]
fn generation_blocks_decide_where_there_are_any() {
    assert_eq!(of_messages(MARKED, conversation()).expect("sound"), [" one \n<|end|>", "two<|end|>"]);
    assert_eq!(of_messages("{% generation %}{% endgeneration %}{{ messages[0].content }}x", conversation()), Err(Reason::NoTargets));
}

#[test]
fn turns_are_found_where_the_template_rewrites_earlier_ones() {
    let thinking = json!({"role": "assistant", "content": "one", "thinking": "1?"});
    let last = json!({"role": "assistant", "content": "two", "thinking": "2?"});
    let messages = vec![message("user", "hi"), thinking, message("user", "and?"), last];
    assert_eq!(of_messages(FORGETFUL, messages).expect("sound"), ["one<|end|>", "<think>2?</think>two<|end|>"]);
    // The end token is not mistaken for the beginning of the next turn where turns have none.
    let open = "{% for m in messages %}<|start|>{{ m.role }}:{{ 'L' if loop.last and m.role == 'assistant' }}{{ m.content }}{% endfor %}";
    assert_eq!(of_messages(open, vec![message("user", "a"), message("assistant", "b"), message("user", "c")]).expect("sound"), ["b"]);
}

#[test]
fn a_template_that_fails_or_hides_turns_is_a_reason() {
    assert_eq!(of_messages("{{ raise_exception('no') }}", conversation()), Err(Reason::TemplateFailed));
    let hides = "{{ messages[0].content }}{{ messages | length }}";
    assert_eq!(of_messages(hides, vec![message("user", "a"), message("assistant", "b")]), Err(Reason::TemplateFailed));
}

#[test]
fn text_and_completions_end_with_the_end_token() {
    let text = encoder(DatasetFormat::Text, "", 1000, ExcessLengthStrategy::Drop);
    let tokens = text.encode(&Row::Text("ab".into())).expect("sound");
    assert_eq!(tokens.ids, [special("<s>"), 97, 98, special("</s>")]);
    assert_eq!(tokens.targets, [1, 1, 1, 1]);
    assert_eq!(text.encode(&Row::Text("ab</s>".into())).expect("sound"), tokens);
    let completion =
        |prompt: &str, completion: &str| text.encode(&Row::PromptCompletion { prompt: prompt.into(), completion: completion.into() });
    let tokens = completion("ab", "c").expect("sound");
    assert_eq!((tokens.ids, tokens.targets), (vec![special("<s>"), 97, 98, 99, special("</s>")], vec![0, 0, 0, 1, 1]));
    assert_eq!(completion("", "c").expect("sound").targets, [0, 1, 1]);
    assert_eq!(completion("ab", "").expect_err("nothing to learn").reason, Reason::NoTargets);
}

#[test]
fn a_text_ends_as_the_model_says_where_the_tokenizer_says_nothing() {
    let encoder = |eos: Option<u32>, model_end: Option<u32>| {
        let TokenizerSource::Gguf(mut metadata) = byte_tokenizer(false, None) else { panic!("it is from a GGUF file") };
        metadata.eos = eos;
        let dataset = dataset(DatasetFormat::Text, "", 1000, ExcessLengthStrategy::Drop);
        Encoder::new(&TokenizerSource::Gguf(metadata), &dataset, model_end, None).expect("an encoder")
    };
    let (of_tokenizer, of_model) = (Some(special("</s>")), Some(special("<|end|>")));
    for (eos, model_end, end) in
        [(of_tokenizer, of_model, of_tokenizer), (None, of_model, of_model), (of_tokenizer, None, of_tokenizer), (None, None, None)]
    {
        let encoder = encoder(eos, model_end);
        let ids = encoder.encode(&Row::Text("ab".into())).expect("sound").ids;
        assert_eq!(ids, [97, 98].into_iter().chain(end).collect::<Vec<u32>>());
        assert_eq!(encoder.lacks_end(), end.is_none());
    }
    assert_ne!(encoder(None, of_model).digest_parts(), encoder(None, of_tokenizer).digest_parts());
}

#[test]
fn excess_length_is_cut_or_refused() {
    let row = Row::PromptCompletion { prompt: "abc".into(), completion: "def".into() };
    let with = |max_length, strategy| encoder(DatasetFormat::PromptCompletion, "", max_length, strategy).encode(&row);
    // <s> a b c d e f </s>
    assert!(!with(8, ExcessLengthStrategy::Drop).expect("it fits").truncated);
    let cut = with(6, ExcessLengthStrategy::Truncate).expect("cut");
    assert_eq!((cut.ids.len(), cut.targets, cut.truncated), (6, vec![0, 0, 0, 0, 1, 1], true));
    assert_eq!(with(4, ExcessLengthStrategy::Truncate).expect_err("nothing left").reason, Reason::NoTargets);
    assert_eq!(with(0, ExcessLengthStrategy::Truncate).expect_err("nothing left").reason, Reason::NoTargets);
    let rejected = with(7, ExcessLengthStrategy::Drop).expect_err("too long");
    assert_eq!(rejected.reason, Reason::ExcessLength);
    assert!(rejected.detail.contains("8 tokens") && rejected.detail.contains("maxLength is 7"), "{}", rejected.detail);
}
