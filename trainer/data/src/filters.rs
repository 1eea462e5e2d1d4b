//! Which sound rows are left out on purpose.

use crate::Error;
use crate::error::shortened;
use crate::rejections::{Reason, Rejected};
use crate::rows::Row;
use regex::{Regex, RegexBuilder};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use temper_contract::config;

/// The filters of a job, ready to be asked about one row after another.
#[derive(Debug)]
pub struct Filters {
    min_length: u64,
    max_length: u64,
    include: Option<Regex>,
    exclude: Option<Regex>,
    /// Contents seen so far: 16 bytes a row.
    seen: Option<HashSet<ContentHash>>,
}

/// The first half of the SHA-256 of a row's normalised content.
pub(crate) type ContentHash = [u8; 16];

impl Filters {
    /// Compiles the patterns (syntax of the `regex` crate: time linear in the text, no look-around or back references).
    pub fn new(filters: &config::Filters) -> Result<Self, Error> {
        let pattern = |field, pattern: &Option<String>| pattern.as_deref().map(|pattern| compile(field, pattern)).transpose();
        Ok(Self {
            min_length: filters.min_length.unwrap_or(0),
            max_length: filters.max_length.unwrap_or(u64::MAX),
            include: pattern("spec.dataset.filters.includePattern", &filters.include_pattern)?,
            exclude: pattern("spec.dataset.filters.excludePattern", &filters.exclude_pattern)?,
            seen: filters.exact_deduplication.then(HashSet::new),
        })
    }

    /// Whether the row stays. `content` is [`content_hash`] of it. A row that another filter leaves out does not count as seen.
    pub(crate) fn check(&mut self, row: &Row, content: &ContentHash) -> Result<(), Rejected> {
        let text = row.text();
        if self.min_length > 0 || self.max_length < u64::MAX {
            let length = text.chars().count() as u64;
            if length < self.min_length {
                return Err(Rejected::new(Reason::TooShort, format!("the text has {length} characters, minLength is {}", self.min_length)));
            }
            if length > self.max_length {
                return Err(Rejected::new(Reason::TooLong, format!("the text has {length} characters, maxLength is {}", self.max_length)));
            }
        }
        if self.include.as_ref().is_some_and(|pattern| !pattern.is_match(&text)) {
            return Err(Rejected::new(Reason::PatternExcluded, "the text does not match includePattern"));
        }
        if self.exclude.as_ref().is_some_and(|pattern| pattern.is_match(&text)) {
            return Err(Rejected::new(Reason::PatternExcluded, "the text matches excludePattern"));
        }
        if self.seen.as_mut().is_none_or(|seen| seen.insert(*content)) {
            Ok(())
        } else {
            Err(Rejected::new(Reason::Duplicate, "an earlier row has the same content"))
        }
    }
}

fn compile(field: &'static str, pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(pattern).size_limit(4 << 20).build().map_err(|error| Error::Setting {
        field,
        value: shortened(pattern),
        reason: format!("it is not a regular expression that can be used: {error}"),
    })
}

/// What makes two rows equal: all their fields that training uses, with each run of white space taken as one space and white space at the
/// ends of a text dropped. Letter case counts. The validation split goes by it too, so equal rows are never on both sides.
pub(crate) fn content_hash(row: &Row) -> ContentHash {
    let mut hash = Sha256::new();
    let mut field = |text: &str| {
        let mut words = text.split_whitespace();
        if let Some(word) = words.next() {
            hash.update(word);
        }
        words.for_each(|word| {
            hash.update(" ");
            hash.update(word);
        });
        // A byte that no UTF-8 text holds, so that fields cannot run into each other.
        hash.update([0xff]);
    };
    match row {
        Row::Text(text) => field(text),
        Row::PromptCompletion { prompt, completion } => {
            field(prompt);
            field(completion);
        }
        Row::Messages { messages, tools } => {
            for message in messages {
                for (name, value) in message.as_object().into_iter().flatten() {
                    field(name);
                    match value.as_str() {
                        Some(text) => field(text),
                        None => field(&value.to_string()),
                    }
                }
            }
            if let Some(tools) = tools {
                field(&tools.to_string());
            }
        }
    }
    let digest = hash.finalize();
    let mut half = ContentHash::default();
    half.copy_from_slice(&digest[..16]);
    half
}

#[cfg(test)]
mod tests {
    use super::{Filters, content_hash};
    use crate::rejections::Reason;
    use crate::rows::Row;
    use temper_contract::config;

    fn fates(filters: &config::Filters, texts: &[&str]) -> Vec<Option<Reason>> {
        let mut filters = Filters::new(filters).expect("sound patterns");
        let mut fate = |text: &&str| {
            let row = Row::Text((*text).to_owned());
            filters.check(&row, &content_hash(&row)).err().map(|rejected| rejected.reason)
        };
        texts.iter().map(&mut fate).collect()
    }

    #[test]
    fn each_filter_leaves_out_what_it_should() {
        let lengths = config::Filters { min_length: Some(2), max_length: Some(3), ..config::Filters::default() };
        assert_eq!(fates(&lengths, &["a", "\u{e9}\u{e9}", "abc", "abcd"]), [Some(Reason::TooShort), None, None, Some(Reason::TooLong)]);
        let patterns =
            config::Filters { include_pattern: Some("(?i)house".into()), exclude_pattern: Some("^X".into()), ..config::Filters::default() };
        assert_eq!(
            fates(&patterns, &["a House", "a flat", "X house"]),
            [None, Some(Reason::PatternExcluded), Some(Reason::PatternExcluded)]
        );
        let duplicates = config::Filters { exact_deduplication: true, ..config::Filters::default() };
        assert_eq!(
            fates(&duplicates, &["a b", " a \n b ", "A b", "ab", "a b"]),
            [None, Some(Reason::Duplicate), None, None, Some(Reason::Duplicate)]
        );
        assert_eq!(fates(&config::Filters::default(), &["", ""]), [None, None]);
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let row = |prompt: &str, completion: &str| Row::PromptCompletion { prompt: prompt.into(), completion: completion.into() };
        assert_ne!(content_hash(&row("a", "bc")), content_hash(&row("ab", "c")));
        assert_ne!(content_hash(&row("a b", "")), content_hash(&row("a", "b")));
    }

    #[test]
    fn a_broken_pattern_names_its_field() {
        let filters = config::Filters { exclude_pattern: Some("(".into()), ..config::Filters::default() };
        let text = Filters::new(&filters).expect_err("broken").to_string();
        assert!(text.contains("excludePattern") && text.contains("\"(\""), "{text}");
        let huge = config::Filters { include_pattern: Some("a{1000}{1000}".into()), ..config::Filters::default() };
        assert!(Filters::new(&huge).is_err());
    }
}
