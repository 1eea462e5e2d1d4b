//! Rows in columns without lines between them, as kubectl prints them: for eyes, grep and awk.

use crate::output::terminal::{Colour, Terminal};
use console::measure_text_width;

/// Spaces between columns.
const GAP: usize = 3;

/// A cell, and what its text means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// What is printed.
    pub text: String,
    /// In which colour, where there are colours.
    pub colour: Option<Colour>,
}

impl Cell {
    /// A cell in a colour.
    pub fn painted(text: impl Into<String>, colour: Colour) -> Self {
        Self { text: text.into(), colour: Some(colour) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), colour: None }
    }
}

/// Widths that columns have had so far: rows that come later, one by one, keep to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Widths(Vec<usize>);

impl Widths {
    /// Makes room for a row.
    pub fn fit(&mut self, row: &[Cell]) {
        self.0.resize(self.0.len().max(row.len()), 0);
        for (width, cell) in self.0.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(&cell.text));
        }
    }

    /// A row as a line, without spaces at its end and with a line end.
    pub fn line(&self, row: &[Cell], terminal: Terminal) -> String {
        let mut line = String::new();
        let mut owed = 0;
        for (index, cell) in row.iter().enumerate() {
            if !cell.text.is_empty() {
                line.extend(std::iter::repeat_n(' ', std::mem::take(&mut owed)));
                match cell.colour {
                    Some(colour) => line.push_str(&terminal.painted(colour, &cell.text)),
                    None => line.push_str(&cell.text),
                }
            }
            let width = self.0.get(index).copied().unwrap_or(0);
            owed += width.saturating_sub(measure_text_width(&cell.text)) + GAP;
        }
        line.push('\n');
        line
    }
}

/// A head and rows.
pub fn table(head: &[&str], rows: &[Vec<Cell>], terminal: Terminal) -> String {
    let head: Vec<Cell> = head.iter().map(|name| Cell::from(*name)).collect();
    let mut widths = Widths::default();
    std::iter::once(&head).chain(rows).for_each(|row| widths.fit(row));
    std::iter::once(&head).chain(rows).map(|row| widths.line(row, terminal)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Cell, table};
    use crate::output::terminal::{Colour, Terminal};

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let rows =
            [vec![Cell::from("a"), Cell::painted("Complete", Colour::Green), "3".into()], vec!["longer".into(), "".into(), "10".into()]];
        let plain = table(&["NAME", "STATUS", "STEP"], &rows, Terminal::PLAIN);
        assert_eq!(plain, "NAME     STATUS     STEP\na        Complete   3\nlonger              10\n");
        let coloured = table(&["NAME", "STATUS", "STEP"], &rows, Terminal { colours: true, ..Terminal::PLAIN });
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
        assert!(coloured.contains("\u{1b}[32mComplete\u{1b}[0m"));
    }
}
