//! Jinja filters where the template engine differs from Jinja2.

use super::python_text::{display, is_space};
use minijinja::Value;

/// Drops white space (or the given characters) at both ends, as Python's `str.strip`.
pub(super) fn trim(text: &Value, characters: Option<&str>) -> String {
    let text = display(text);
    match characters {
        Some(characters) => text.trim_matches(|letter| characters.contains(letter)).to_owned(),
        None => text.trim_matches(is_space).to_owned(),
    }
}
