//! How long ago something was, as kubectl has it: two units at most, the smaller one only while it matters.

use jiff::Timestamp;

/// The time from one moment to another.
pub fn between(from: Timestamp, to: Timestamp) -> String {
    of_seconds(to.as_second() - from.as_second())
}

/// A span in seconds: `45s`, `3m20s`, `95m`, `5h12m`, `3d4h`, `400d`.
pub fn of_seconds(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, lesser: &str| {
        if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{lesser}") }
    };
    match seconds {
        // Clocks differ by a little.
        ..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => two(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ => two(days / 365, "y", days % 365, "d"),
    }
}

#[cfg(test)]
mod tests {
    use super::of_seconds;

    #[test]
    fn ages_are_kubectls() {
        let table = [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (5700, "95m"),
            (18_720, "5h12m"),
            (18_000, "5h"),
            (100_000, "27h"),
            (273_600, "3d4h"),
            (34_560_000, "400d"),
            (63_158_400, "2y1d"),
        ];
        for (seconds, text) in table {
            assert_eq!(of_seconds(seconds), text, "{seconds}");
        }
    }
}
