//! What a person means by `ftj`, `ftj a b`, `mv/a-v1` or a name alone.

use crate::cluster::kind::Kind;
use crate::exit::Stop;

/// Which objects are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every object of these kinds.
    All(Vec<Kind>),
    /// These objects.
    Named(Vec<(Kind, String)>),
}

/// Reads the words after `get` or `describe`.
///
/// # Errors
/// Where they mix the two ways of naming objects.
pub fn parse(words: &[String]) -> Result<Target, Stop> {
    let Some(first) = words.first() else { return Ok(Target::All(Kind::ALL.to_vec())) };
    if words.iter().any(|word| word.contains('/')) {
        return words.iter().map(|word| slashed(word)).collect::<Result<_, _>>().map(Target::Named);
    }
    match kinds(first) {
        Some(kinds) if words.len() == 1 => Ok(Target::All(kinds)),
        Some(kinds) => match kinds[..] {
            [kind] => Ok(Target::Named(words[1..].iter().map(|name| (kind, name.clone())).collect())),
            _ => Err(Stop::usage(format!("{first}: names belong to one kind"), "name the kind once, as in: ftj NAME NAME")),
        },
        None => Ok(Target::Named(words.iter().map(|name| (Kind::FineTuneJob, name.clone())).collect())),
    }
}

/// `ftj`, `mv`, `ftj,mv`, and `temper` for all, as kubectl has it.
fn kinds(word: &str) -> Option<Vec<Kind>> {
    if word == "temper" || word == "all" {
        return Some(Kind::ALL.to_vec());
    }
    word.split(',').map(Kind::parse).collect()
}

/// `ftj/NAME`.
fn slashed(word: &str) -> Result<(Kind, String), Stop> {
    let parts = word.split_once('/').filter(|(_, name)| !name.is_empty() && !name.contains('/'));
    let named = parts.and_then(|(kind, name)| Some((Kind::parse(kind)?, name.to_owned())));
    named.ok_or_else(|| Stop::usage(format!("{word}: is not KIND/NAME"), "write ftj/NAME or mv/NAME, for each of them"))
}

#[cfg(test)]
mod tests {
    use super::{Target, parse};
    use crate::cluster::kind::Kind::{FineTuneJob, ModelVersion};

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn objects_are_named_as_kubectl_has_it_or_by_a_jobs_name_alone() {
        let named = |list: &[(crate::cluster::kind::Kind, &str)]| {
            Target::Named(list.iter().map(|(kind, name)| (*kind, (*name).to_owned())).collect())
        };
        let table = [
            ("", Target::All(vec![FineTuneJob, ModelVersion])),
            ("temper", Target::All(vec![FineTuneJob, ModelVersion])),
            ("ftj", Target::All(vec![FineTuneJob])),
            ("mv,ftj", Target::All(vec![ModelVersion, FineTuneJob])),
            ("FineTuneJobs", Target::All(vec![FineTuneJob])),
            ("modelversions.temper.dev", Target::All(vec![ModelVersion])),
            ("listings", named(&[(FineTuneJob, "listings")])),
            ("ftj a b", named(&[(FineTuneJob, "a"), (FineTuneJob, "b")])),
            ("mv a-v1", named(&[(ModelVersion, "a-v1")])),
            ("ftj/a mv/a-v1", named(&[(FineTuneJob, "a"), (ModelVersion, "a-v1")])),
        ];
        for (text, target) in table {
            assert_eq!(parse(&words(text)), Ok(target), "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_a_usage_error() {
        for text in ["ftj,mv a", "pods/a", "ftj/", "ftj/a b", "ftj/a/b"] {
            assert_eq!(parse(&words(text)).map_err(|stop| stop.exit.code()), Err(2), "{text}");
        }
    }
}
