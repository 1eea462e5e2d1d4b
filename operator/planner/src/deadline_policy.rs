//! `activeDeadlineSeconds`: how long a job may be active.

use crate::backoff::later;
use temper_crds::Timestamp;

/// When the job's time is up; `None` where it has no deadline or is not active yet.
pub fn deadline(active_since: Option<Timestamp>, active_deadline_seconds: Option<u64>) -> Option<Timestamp> {
    Some(later(active_since?, active_deadline_seconds?))
}

#[cfg(test)]
mod tests {
    use super::deadline;
    use temper_crds::Timestamp;

    #[test]
    fn the_deadline_counts_from_when_the_job_became_active() {
        let start = Timestamp::from_second(100).expect("a time");
        assert_eq!(deadline(Some(start), Some(60)), Timestamp::from_second(160).ok());
        assert_eq!(deadline(None, Some(60)), None);
        assert_eq!(deadline(Some(start), None), None);
    }
}
