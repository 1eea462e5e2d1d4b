//! Tables, all in one style.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

/// An empty table with these column heads.
pub fn with_header(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().map(Cell::new));
    table
}

/// An empty table of names and values.
pub fn of_facts() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// A cell with a number, to the right.
pub fn number(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// The table with a line end.
pub fn text(table: &Table) -> String {
    format!("{}\n", table.trim_fmt())
}

/// A cell with text.
pub fn text_cell(text: impl ToString) -> Cell {
    Cell::new(text)
}
