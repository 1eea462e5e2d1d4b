//! `{% generation %}` blocks: what is inside is what the model says.
//!
//! The engine does not know the tag, so it is rewritten (within its line, white-space control and all) to a filter block that puts two
//! marks around the block's text, with a scope of its own, as transformers' extension has. The marks are Unicode noncharacters, which no
//! text interchange may use; they are taken out again after rendering, leaving the block's place.

use super::Rendered;
use regex::Regex;
use std::sync::LazyLock;

/// The filter that a generation block goes through.
pub(super) const FILTER: &str = "__generation";

const OPEN: char = '\u{fdd0}';
const CLOSE: char = '\u{fdd1}';

/// Said of a conversation that holds a mark.
pub(super) const COLLISION: &str = "a message holds one of the noncharacters U+FDD0 and U+FDD1, which mark generation blocks; remove it";

static TAG: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the pattern is a constant that every test run compiles")]
    Regex::new(r"(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})").expect("a sound pattern")
});

/// The template with filter blocks for generation blocks; `None` if it has none.
pub(super) fn rewrite(template: &str) -> Option<String> {
    if !TAG.is_match(template) {
        return None;
    }
    let rewritten = TAG.replace_all(template, |tag: &regex::Captures<'_>| match tag.get(2) {
        None => format!("{}filter {FILTER} %}}{{% with __scope = 0{}", &tag[1], &tag[3]),
        Some(_) => format!("{}endwith %}}{{% endfilter{}", &tag[1], &tag[3]),
    });
    Some(rewritten.into_owned())
}

/// The filter: the block's text between marks.
pub(super) fn mark(block: &str) -> String {
    format!("{OPEN}{block}{CLOSE}")
}

/// Whether any text of the messages holds a mark.
pub(super) fn collides(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::String(text) => text.contains([OPEN, CLOSE]),
        serde_json::Value::Array(list) => list.iter().any(collides),
        serde_json::Value::Object(fields) => fields.values().any(collides),
        _ => false,
    }
}

/// Takes the marks out and notes where they were.
pub(super) fn strip(marked: &str) -> Rendered {
    let mut rendered = Rendered { text: String::with_capacity(marked.len()), generated: Vec::new() };
    // A block inside a block counts with the outer one.
    let (mut depth, mut start) = (0u32, 0);
    for piece in marked.split_inclusive([OPEN, CLOSE]) {
        rendered.text.push_str(piece.trim_end_matches([OPEN, CLOSE]));
        if piece.ends_with(OPEN) {
            if depth == 0 {
                start = rendered.text.len();
            }
            depth += 1;
        } else if piece.ends_with(CLOSE) {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                rendered.generated.push(start..rendered.text.len());
            }
        }
    }
    rendered
}

#[cfg(test)]
mod tests {
    use super::{rewrite, strip};

    #[test]
    fn tags_are_rewritten_within_their_line() {
        assert_eq!(
            rewrite("a {%- generation -%}\nb{% endgeneration %}").as_deref(),
            Some("a {%- filter __generation %}{% with __scope = 0 -%}\nb{% endwith %}{% endfilter %}")
        );
        assert_eq!(rewrite("{{ generation }}{% set generation = 1 %}"), None);
    }

    #[test]
    fn marks_become_spans() {
        let rendered = strip("a\u{fdd0}bc\u{fdd1}\u{e9}\u{fdd0}\u{fdd1}d\u{fdd0}e\u{fdd0}f\u{fdd1}g\u{fdd1}");
        assert_eq!(rendered.text, "abc\u{e9}defg");
        assert_eq!(rendered.generated, [1..3, 5..5, 6..9]);
    }
}
