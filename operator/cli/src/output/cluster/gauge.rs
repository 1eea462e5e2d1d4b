//! A share as a bar of characters.

/// The bar of a share in percent: `━━━━━╸──────`.
pub fn bar(percent: u64, width: usize) -> String {
    let halves = (width * 2) * usize::try_from(percent.min(100)).unwrap_or(100) / 100;
    let (full, half) = (halves / 2, halves % 2);
    let rest = width - full - half;
    format!("{}{}{}", "━".repeat(full), "╸".repeat(half), "─".repeat(rest))
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_has_its_width_and_is_full_only_at_the_end() {
        assert_eq!(
            [bar(0, 10), bar(42, 10), bar(45, 10), bar(99, 10), bar(100, 10), bar(200, 4)],
            ["──────────", "━━━━──────", "━━━━╸─────", "━━━━━━━━━╸", "━━━━━━━━━━", "━━━━"]
        );
        assert!((0..=100).all(|percent| bar(percent, 17).chars().count() == 17));
    }
}
