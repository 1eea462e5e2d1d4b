//! What the output can show: colours and bars only where a person looks at a terminal.

use std::io::IsTerminal;

/// What standard output and standard error can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Whether standard error is a terminal that can move its cursor: bars go there.
    pub bars: bool,
    /// Whether standard output may have colours.
    pub colours: bool,
    /// Whether standard output is a terminal that can move its cursor: bars in tables, and tables that change in place.
    pub live: bool,
}

/// A colour that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Done, as it should be.
    Green,
    /// Somebody should look.
    Yellow,
    /// Failed.
    Red,
    /// Under way.
    Cyan,
    /// Tells one speaker from another, with those above.
    Blue,
    /// The same.
    Magenta,
    /// Less important than the rest.
    Dim,
}

impl Colour {
    const fn code(self) -> &'static str {
        match self {
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Cyan => "36",
            Self::Blue => "34",
            Self::Magenta => "35",
            Self::Dim => "2",
        }
    }
}

impl Terminal {
    /// Nothing but plain lines.
    pub const PLAIN: Self = Self { bars: false, colours: false, live: false };

    /// What this process's outputs can show.
    pub fn detect() -> Self {
        Self::from_facts(
            std::io::stdout().is_terminal(),
            std::io::stderr().is_terminal(),
            std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            std::env::var_os("TERM").is_some_and(|value| value == "dumb"),
        )
    }

    /// The decision, from what the environment says. `NO_COLOR` (<https://no-color.org>) takes the colours, not the bars.
    pub fn from_facts(stdout_is_terminal: bool, stderr_is_terminal: bool, no_color: bool, dumb: bool) -> Self {
        Self { bars: stderr_is_terminal && !dumb, colours: stdout_is_terminal && !no_color && !dumb, live: stdout_is_terminal && !dumb }
    }

    /// The text in bold, where colours are allowed.
    pub fn bold(&self, text: &str) -> String {
        if self.colours { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// The text in a colour, where colours are allowed.
    pub fn painted(&self, colour: Colour, text: &str) -> String {
        if self.colours { format!("\u{1b}[{}m{text}\u{1b}[0m", colour.code()) } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::Terminal;

    #[test]
    fn a_pipe_gets_neither_colours_nor_bars() {
        assert_eq!(Terminal::from_facts(false, false, false, false), Terminal::PLAIN);
        assert_eq!(Terminal::from_facts(true, true, false, true), Terminal::PLAIN);
    }

    #[test]
    fn no_color_leaves_the_bars() {
        assert_eq!(Terminal::from_facts(true, true, true, false), Terminal { bars: true, colours: false, live: true });
        assert_eq!(Terminal::from_facts(true, true, false, false), Terminal { bars: true, colours: true, live: true });
        assert_eq!(Terminal::from_facts(true, true, true, false).bold("x"), "x");
    }
}
