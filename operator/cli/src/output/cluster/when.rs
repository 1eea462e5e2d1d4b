//! Moments as a person reads them now and here.

use crate::output::cluster::age;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Now and here.
#[derive(Clone, Debug)]
pub struct When {
    /// Now.
    pub now: Timestamp,
    /// Here.
    pub zone: TimeZone,
}

impl When {
    /// By this machine's clock and zone.
    pub fn here() -> Self {
        Self { now: Timestamp::now(), zone: TimeZone::system() }
    }

    /// A moment: the time of day, with the date where it is not today's.
    pub fn shown(&self, at: Timestamp) -> String {
        let (at, now) = (at.to_zoned(self.zone.clone()), self.now.to_zoned(self.zone.clone()));
        let format = if at.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        at.strftime(format).to_string()
    }

    /// How long ago a moment was.
    pub fn ago(&self, at: Timestamp) -> String {
        format!("{} ago", age::between(at, self.now))
    }
}

#[cfg(test)]
mod tests {
    use super::When;
    use jiff::tz::{self, TimeZone};

    #[test]
    fn a_moment_has_a_date_where_it_is_another_day_here() {
        let at = |text: &str| text.parse().expect("a time");
        let when = When { now: at("2026-03-02T01:00:00Z"), zone: TimeZone::fixed(tz::offset(2)) };
        assert_eq!(when.shown(at("2026-03-01T23:30:00Z")), "01:30:00");
        assert_eq!(when.shown(at("2026-03-01T21:30:00Z")), "2026-03-01 23:30:00");
        assert_eq!(when.ago(at("2026-03-02T00:55:00Z")), "5m ago");
    }
}
