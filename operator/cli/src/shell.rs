//! Words that survive a shell, for commands to copy.

use std::path::Path;

/// The text as one word of a POSIX shell.
pub fn quoted(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@%+,".contains(character);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The path as one word of a POSIX shell.
pub fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_survive_the_shell() {
        assert_eq!([quoted("a/b.gguf"), quoted("it's $5"), quoted("")], ["a/b.gguf", r"'it'\''s $5'", "''"]);
    }
}
