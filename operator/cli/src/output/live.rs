//! Text that changes in place on a terminal.

use console::{Term, truncate_str};

/// What stands on the terminal at the moment, to be written over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    lines: usize,
}

impl Live {
    /// The text in place of the one before, as it is to be written: cut to the terminal's rows and columns.
    pub fn frame(&mut self, text: &str) -> String {
        let (rows, columns) = Term::stdout().size();
        self.frame_of(text, usize::from(rows), usize::from(columns))
    }

    /// The same for a terminal of this size.
    pub fn frame_of(&mut self, text: &str, rows: usize, columns: usize) -> String {
        let mut lines: Vec<String> = text.lines().map(|line| truncate_str(line, columns.max(1), "").into_owned()).collect();
        let room = rows.saturating_sub(1).max(2);
        if lines.len() > room {
            let hidden = lines.len() - (room - 1);
            lines.truncate(room - 1);
            lines.push(format!("... and {hidden} more"));
        }
        let mut frame = String::new();
        if self.lines > 0 {
            frame.push_str(&format!("\u{1b}[{}A\r", self.lines));
        }
        // Each line is cleared behind its end, and then everything that is left of a longer text.
        lines.iter().for_each(|line| frame.push_str(&format!("{line}\u{1b}[K\n")));
        frame.push_str("\u{1b}[J");
        self.lines = lines.len();
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::Live;

    #[test]
    fn a_text_takes_the_place_of_the_one_before() {
        let mut live = Live::default();
        assert_eq!(live.frame_of("a\nb\n", 24, 80), "a\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
        assert_eq!(live.frame_of("c\n", 24, 80), "\u{1b}[2A\rc\u{1b}[K\n\u{1b}[J");
        assert!(live.frame_of("d\n", 24, 80).starts_with("\u{1b}[1A\r"));
    }

    #[test]
    fn what_does_not_fit_is_cut_and_said() {
        let mut live = Live::default();
        let frame = live.frame_of("12345\n2\n3\n4\n5\n", 4, 3);
        assert_eq!(console::strip_ansi_codes(&frame), "123\n2\n... and 3 more\n");
    }
}
