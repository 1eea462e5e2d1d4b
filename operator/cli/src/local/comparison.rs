//! Answers before and after tuning, kept in the run's folder so that the next `temper run` shows them at once.

use crate::local::ask::Trainer;
use crate::local::durable;
use crate::local::job::LocalJob;
use anyhow::{Context, Result};
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use temper_contract::report::{ArtifactFormat, Generation};
use temper_contract::request::{Compute, GenerateRequest, Prompt, Sampling};

/// Answers to the same prompts before and after tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// Digest of the prompts, the settings and the model: a comparison of others is made anew.
    key: String,
    /// The answers.
    rows: Vec<Row>,
}

/// Two answers to one prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The prompt.
    pub prompt: String,
    /// The base model's answer.
    pub before: String,
    /// The tuned model's answer.
    pub after: String,
}

/// A comparison with a verdict on each answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// The pattern; absent where nothing was expected.
    pub expect: Option<String>,
    /// Number of prompts.
    pub prompts: usize,
    /// Answers of the base model that match.
    pub matches_before: Option<usize>,
    /// Answers of the tuned model that match.
    pub matches_after: Option<usize>,
    /// The answers.
    pub answers: Vec<JudgedRow>,
}

/// Two answers to one prompt and whether each matches the pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JudgedRow {
    /// The answers.
    #[serde(flatten)]
    pub row: Row,
    /// Whether the base model's matches.
    pub before_matches: Option<bool>,
    /// Whether the tuned model's matches.
    pub after_matches: Option<bool>,
}

impl Comparison {
    /// The answers, from the run's folder if they were made before.
    pub fn make(
        job: &LocalJob,
        trainer: impl FnOnce() -> Result<PathBuf>,
        prompts: &[Prompt],
        max_new_tokens: usize,
        mut on_answer: impl FnMut(u64, u64),
    ) -> Result<Self> {
        let published = job.run.publish_report()?.context("there is no published model to compare")?;
        let settings =
            serde_json::to_string(&(prompts, max_new_tokens, &published.digest)).context("cannot express the prompts as JSON")?;
        let key = temper_artifact::digest::bytes(settings.as_bytes());
        if let Ok(Some(known)) = durable::read_json::<Self>(&job.run.comparison())
            && known.key == key
        {
            return Ok(known);
        }
        let parallelism = &job.validated.parallelism;
        let request = |model: &Path, adapter: Option<&Path>| GenerateRequest {
            model: model.to_path_buf(),
            adapter: adapter.map(Path::to_path_buf),
            prompts: prompts.to_vec(),
            chat_template: job.validated.preparation.chat_template.clone(),
            sampling: Sampling::GREEDY,
            max_new_tokens,
            compute: Compute {
                precision: job.validated.hyperparameters.precision,
                device: parallelism.device,
                threads: parallelism.threads_per_proc * parallelism.num_proc_per_node,
            },
        };
        let (base, tuned) = (job.folders.base_model.as_path(), Path::new(&published.path));
        let trainer = Trainer::new(trainer()?);
        let total = 2 * prompts.len() as u64;
        let mut done = 0;
        let mut counted = |_: &Generation| {
            done += 1;
            on_answer(done, total);
        };
        let before = trainer.generate(&request(base, None), &mut counted)?;
        let after = match published.format {
            ArtifactFormat::PeftAdapter => trainer.generate(&request(base, Some(tuned)), &mut counted)?,
            ArtifactFormat::HuggingFace => trainer.generate(&request(tuned, None), &mut counted)?,
        };
        let rows =
            before.into_iter().zip(after).map(|(before, after)| Row { prompt: after.prompt, before: before.text, after: after.text });
        let comparison = Self { key, rows: rows.collect() };
        durable::write_json(&job.run.comparison(), &comparison)?;
        Ok(comparison)
    }

    /// The verdicts by a pattern, which is matched against the answer without the white space around it.
    pub fn judge(&self, expect: Option<&Regex>) -> Judged {
        let verdict = |text: &str| expect.map(|pattern| pattern.is_match(text.trim()));
        let answers: Vec<JudgedRow> = self
            .rows
            .iter()
            .map(|row| JudgedRow { row: row.clone(), before_matches: verdict(&row.before), after_matches: verdict(&row.after) })
            .collect();
        let count =
            |matches: fn(&JudgedRow) -> Option<bool>| expect.map(|_| answers.iter().filter(|answer| matches(answer) == Some(true)).count());
        Judged {
            expect: expect.map(|pattern| pattern.as_str().to_owned()),
            prompts: answers.len(),
            matches_before: count(|answer| answer.before_matches),
            matches_after: count(|answer| answer.after_matches),
            answers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Row};
    use regex::Regex;

    #[test]
    fn answers_are_counted_without_the_space_around_them() {
        let row = |before: &str, after: &str| Row { prompt: "p".to_owned(), before: before.to_owned(), after: after.to_owned() };
        let comparison =
            Comparison { key: String::new(), rows: vec![row("Sure!", " Price: $1\n"), row("Price: $2", "Price: $3"), row("", "no")] };
        let judged = comparison.judge(Some(&Regex::new("^Price: .[0-9]+$").expect("a pattern")));
        assert_eq!((judged.prompts, judged.matches_before, judged.matches_after), (3, Some(1), Some(2)));
        let unjudged = comparison.judge(None);
        assert_eq!((unjudged.matches_before, unjudged.answers[0].after_matches), (None, None));
    }
}
