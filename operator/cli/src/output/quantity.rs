//! Numbers as people read them.

use std::time::Duration;

/// 1234567 as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in binary units, as Kubernetes writes quantities: `1.5 GiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A time span: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "-".to_owned();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = Duration::from_secs_f64(seconds.min(1e9)).as_secs_f64().round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A loss or perplexity: four significant places are what a run can tell.
pub fn measure(value: f64) -> String {
    if !value.is_finite() {
        value.to_string()
    } else if value.abs() >= 1e5 {
        format!("{value:.3e}")
    } else if value.abs() >= 100.0 {
        format!("{value:.1}")
    } else if value.abs() >= 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

/// A figure that may be a count: whole numbers without decimals.
pub fn figure(value: f64) -> String {
    if value.is_finite() && value.fract() == 0.0 && value.abs() < 1e9 { format!("{value:.0}") } else { measure(value) }
}

/// The change from `before` to `after` in percent, signed.
pub fn change(before: f64, after: f64) -> String {
    if before == 0.0 || !before.is_finite() || !after.is_finite() {
        "-".to_owned()
    } else {
        format!("{:+.1}%", 100.0 * (after - before) / before)
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, change, duration, figure, grouped, measure};

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([grouped(0), grouped(999), grouped(1000), grouped(134_515_008)], ["0", "999", "1,000", "134,515,008"]);
    }

    #[test]
    fn bytes_take_the_unit_that_fits() {
        assert_eq!([bytes(0), bytes(1023), bytes(1536), bytes(3 << 30)], ["0 B", "1023 B", "1.5 KiB", "3.0 GiB"]);
    }

    #[test]
    fn durations_take_the_unit_that_fits() {
        assert_eq!([duration(0.44), duration(9.96), duration(59.6), duration(125.0)], ["0.4 s", "10 s", "1 min 00 s", "2 min 05 s"]);
        assert_eq!([duration(7620.0), duration(f64::NAN), duration(-1.0)], ["2 h 07 min", "-", "-"]);
    }

    #[test]
    fn measures_keep_what_a_run_can_tell() {
        assert_eq!([measure(1.23456), measure(12.3456), measure(345.67), measure(1_234_567.0)], ["1.2346", "12.35", "345.7", "1.235e6"]);
        assert_eq!([figure(8.0), figure(0.63212)], ["8", "0.6321"]);
        assert_eq!([change(10.0, 4.0), change(4.0, 5.0), change(0.0, 1.0)], ["-60.0%", "+25.0%", "-"]);
    }
}
