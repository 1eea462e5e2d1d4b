//! Writes the synthetic property listings that the quickstart trains on.
//!
//! The rows are made up by a seeded generator: no person wrote them and no property exists. A known share is broken or repeated on
//! purpose, so that the preparation stage has something to find.

mod property;
mod rng;

use anyhow::{Context, Result};
use clap::Parser;
use property::Property;
use rng::Rng;
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// Of a thousand rows, so many repeat an earlier one.
const DUPLICATES: usize = 30;
/// Of a thousand rows, so many are not JSON.
const INVALID_JSON: usize = 5;
/// Of a thousand rows, so many have a number where the text should be.
const WRONG_TYPE: usize = 5;
/// Of a thousand rows, so many have no messages.
const EMPTY: usize = 5;
/// Of a thousand rows, so many stop before the assistant's turn.
const UNANSWERED: usize = 5;

/// Writes `listings.jsonl` (training rows in `messages` form) and `prompts.jsonl` (unseen requests) into a folder.
#[derive(Parser)]
struct Arguments {
    /// Folder to write to; made if missing.
    folder: PathBuf,
    /// Rows of `listings.jsonl`.
    #[arg(long, default_value_t = 2000)]
    rows: usize,
    /// Requests in `prompts.jsonl`.
    #[arg(long, default_value_t = 10)]
    prompts: usize,
    /// Seed of everything.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.folder).with_context(|| format!("cannot make the folder {}", arguments.folder.display()))?;
    write(&arguments, "listings.jsonl", rows(arguments.rows, arguments.seed))?;
    write(&arguments, "prompts.jsonl", prompts(arguments.prompts, arguments.seed))
}

fn write(arguments: &Arguments, name: &str, lines: Vec<String>) -> Result<()> {
    let path = arguments.folder.join(name);
    fs::write(&path, lines.join("\n") + "\n").with_context(|| format!("cannot write {}", path.display()))
}

/// The training rows, shuffled: good ones, then the known share of bad ones.
fn rows(count: usize, seed: u64) -> Vec<String> {
    let mut rng = Rng::new(seed);
    let share = |per_thousand: usize| count * per_thousand / 1000;
    let bad = share(DUPLICATES) + share(INVALID_JSON) + share(WRONG_TYPE) + share(EMPTY) + share(UNANSWERED);
    let mut rows: Vec<String> = (0..count - bad).map(|_| row(&Property::random(&mut rng))).collect();
    let good = rows.len();
    rows.extend(
        (0..share(DUPLICATES))
            .map(|_| rng.below(good))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|copied| rows[copied].clone())
            .collect::<Vec<_>>(),
    );
    rows.extend(
        (0..share(INVALID_JSON))
            .map(|_| {
                let whole = row(&Property::random(&mut rng));
                whole[..whole.len() / 2].to_owned()
            })
            .collect::<Vec<_>>(),
    );
    rows.extend(
        (0..share(WRONG_TYPE))
            .map(|n| json!({"messages": [{"role": "user", "content": n}, {"role": "assistant", "content": "ok"}]}).to_string()),
    );
    rows.extend((0..share(EMPTY)).map(|_| json!({"messages": []}).to_string()));
    rows.extend(
        (0..share(UNANSWERED))
            .map(|_| json!({"messages": [{"role": "user", "content": Property::random(&mut rng).request()}]}).to_string())
            .collect::<Vec<_>>(),
    );
    rng.shuffle(&mut rows);
    rows
}

fn row(property: &Property) -> String {
    json!({"messages": [{"role": "user", "content": property.request()}, {"role": "assistant", "content": property.listing()}]}).to_string()
}

/// Requests about towns that no training row names.
fn prompts(count: usize, seed: u64) -> Vec<String> {
    let mut rng = Rng::new(seed ^ 0x5eed);
    (0..count).map(|n| json!({"prompt": Property::unseen(n, &mut rng).request()}).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::{prompts, rows};

    #[test]
    fn the_same_seed_gives_the_same_rows() {
        assert_eq!(rows(200, 1), rows(200, 1));
        assert_ne!(rows(200, 1), rows(200, 2));
    }

    #[test]
    fn the_share_of_bad_rows_is_the_documented_one() {
        let rows = rows(2000, 7);
        let parsed: Vec<serde_json::Value> = rows.iter().filter_map(|row| serde_json::from_str(row).ok()).collect();
        assert_eq!((rows.len(), rows.len() - parsed.len()), (2000, 10));
        let mut distinct: Vec<&String> = rows.iter().filter(|row| row.contains("Viewings by")).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() >= 1890 && distinct.len() <= 1900, "{}", distinct.len());
    }

    #[test]
    fn unseen_prompts_name_unseen_towns() {
        let training = rows(2000, 7).join("\n");
        let prompts = prompts(10, 7);
        assert!(prompts[0].contains("Bellmarsh") && prompts[9].contains("Quarry Bank"));
        assert!(!training.contains("Bellmarsh") && !training.contains("Quarry Bank"));
    }
}
