//! Answers before and after tuning, side by side.

use crate::local::comparison::Judged;
use crate::output::table;

/// Columns of one answer.
const ANSWER_COLUMNS: usize = 56;
/// Lines of an answer that are shown.
const ANSWER_LINES: usize = 8;

/// The answers as a table; of many, the first few.
pub fn text(judged: &Judged, most: usize) -> String {
    let mut text = String::new();
    for answer in judged.answers.iter().take(most) {
        let mark = |matches: Option<bool>| match matches {
            Some(true) => "[as expected]\n",
            Some(false) => "[not as expected]\n",
            None => "",
        };
        let before = format!("{}{}", mark(answer.before_matches), fitted(&answer.row.before));
        let after = format!("{}{}", mark(answer.after_matches), fitted(&answer.row.after));
        let mut shown = table::with_header(&["Before", "After"]);
        shown.add_row([before, after]);
        text.push_str(&format!("> {}\n{}", answer.row.prompt.trim(), table::text(&shown)));
    }
    if judged.answers.len() > most {
        text.push_str(&format!("({} more in the run's comparison.json)\n", judged.answers.len() - most));
    }
    text
}

/// The text in lines that fit a column, cut after a few.
fn fitted(text: &str) -> String {
    let mut lines: Vec<String> = text.trim().lines().flat_map(wrapped).collect();
    if lines.len() > ANSWER_LINES {
        lines.truncate(ANSWER_LINES - 1);
        lines.push("...".to_owned());
    }
    lines.join("\n")
}

/// One line broken between words.
fn wrapped(line: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split_whitespace() {
        let word: String = word.chars().take(ANSWER_COLUMNS).collect();
        let last = lines.len() - 1;
        let length = lines[last].chars().count();
        if length == 0 {
            lines[last] = word;
        } else if length + 1 + word.chars().count() <= ANSWER_COLUMNS {
            lines[last].push(' ');
            lines[last].push_str(&word);
        } else {
            lines.push(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{ANSWER_COLUMNS, fitted};

    #[test]
    fn long_answers_are_broken_and_cut() {
        let text = fitted(&"word ".repeat(200));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() == 8 && lines[7] == "...", "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= ANSWER_COLUMNS));
        assert_eq!(fitted("  a\n\nb \n"), "a\n\nb");
    }
}
