//! Says in the log what goes wrong with something once, not at each of many tries, and that it is well again.

/// What was last said about something that is tried again and again.
#[derive(Debug)]
pub struct Complaint {
    about: &'static str,
    said: Option<String>,
}

impl Complaint {
    /// Nothing is wrong with `about` so far.
    pub const fn about(about: &'static str) -> Self {
        Self { about, said: None }
    }

    /// Something is wrong. A repetition is not logged.
    pub fn say(&mut self, reason: &str) {
        if self.is_news(reason) {
            tracing::warn!(about = self.about, "{reason}");
        }
    }

    /// It is well. Logged if something was wrong before.
    pub fn settled(&mut self) {
        if self.said.take().is_some() {
            tracing::info!(about = self.about, "it works again");
        }
    }

    fn is_news(&mut self, reason: &str) -> bool {
        let news = self.said.as_deref() != Some(reason);
        if news {
            self.said = Some(reason.to_owned());
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::Complaint;

    #[test]
    fn a_repetition_is_not_news_until_it_was_well_again() {
        let mut complaint = Complaint::about("something");
        assert!(complaint.is_news("it is broken"));
        assert!(!complaint.is_news("it is broken"));
        assert!(complaint.is_news("it is broken otherwise"));
        complaint.settled();
        assert!(complaint.is_news("it is broken otherwise"));
    }
}
