//! Names and values, and sections of them: `kubectl describe`'s form.

use crate::output::terminal::Terminal;
use console::measure_text_width;

/// Names and values, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(Vec<(String, String)>);

impl Facts {
    /// Adds one. A value of several lines is indented as a whole.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Adds one that is known.
    pub fn add_some(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One a line, values under each other.
    pub fn text(&self) -> String {
        let width = self.0.iter().map(|(name, _)| measure_text_width(name)).max().unwrap_or(0) + 3;
        let mut text = String::new();
        for (name, value) in &self.0 {
            let label = if name.is_empty() { String::new() } else { format!("{name}:") };
            for (number, line) in value.lines().enumerate() {
                let label = if number == 0 { &label } else { "" };
                text.push_str(format!("{label}{}{line}", " ".repeat(width - measure_text_width(label))).trim_end());
                text.push('\n');
            }
        }
        text
    }
}

/// A title and what stands under it, indented; nothing where there is nothing.
pub fn section(title: &str, body: &str, terminal: Terminal) -> String {
    if body.is_empty() {
        return String::new();
    }
    let indented: String = body.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect();
    format!("\n{}\n{indented}", terminal.bold(title))
}

#[cfg(test)]
mod tests {
    use super::{Facts, section};
    use crate::output::terminal::Terminal;

    #[test]
    fn values_stand_under_each_other() {
        let mut facts = Facts::default();
        facts.add("Name", "listings");
        facts.add("Base model", "pvc://models/a\nrevision main");
        facts.add_some("Absent", None);
        let text = "Name:        listings\nBase model:  pvc://models/a\n             revision main\n";
        assert_eq!(facts.text(), text);
        assert_eq!(section("Spec", "a\nb\n", Terminal::PLAIN), "\nSpec\n  a\n  b\n");
        assert_eq!(section("Spec", "", Terminal::PLAIN), "");
    }
}
