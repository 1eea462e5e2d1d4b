//! The known name that a misspelt one was probably meant to be.

/// The candidate that the fewest edits make out of `name`, if that is few enough for a typo. Case counts half.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 2 * (name.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance in half edits: an exchange of upper and lower case (or of `_` and nothing) is half an edit.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let cost = |character: char| if character == '_' { 1 } else { 2 };
    let mut row: Vec<usize> = std::iter::once(0)
        .chain(right.iter().scan(0, |sum, character| {
            *sum += cost(*character);
            Some(*sum)
        }))
        .collect();
    for from in left.chars() {
        let mut diagonal = row[0];
        row[0] += cost(from);
        for (column, to) in right.iter().enumerate() {
            let change = match from {
                _ if from == *to => 0,
                _ if from.eq_ignore_ascii_case(to) => 1,
                _ => 2,
            };
            let best = (diagonal + change).min(row[column] + cost(*to)).min(row[column + 1] + cost(from));
            diagonal = std::mem::replace(&mut row[column + 1], best);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn typos_find_their_field() {
        let fields = ["learningRate", "numTrainEpochs", "maxSteps", "seed", "lrSchedulerType", "warmupSteps"];
        let table = [
            ("learningrate", Some("learningRate")),
            ("learning_rate", Some("learningRate")),
            ("lerningRate", Some("learningRate")),
            ("max_steps", Some("maxSteps")),
            ("sead", Some("seed")),
            ("epochs", None),
            ("optimizer", None),
        ];
        for (typo, field) in table {
            assert_eq!(nearest(typo, fields), field, "{typo}");
        }
    }
}
