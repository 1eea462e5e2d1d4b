//! The whole way from data files to token caches.

mod day;
mod identity;

use crate::example::{Encoder, Tokens};
use crate::filters::{ContentHash, Filters, content_hash};
use crate::rejections::{Reason, Rejected, Rejections};
use crate::rows::{Place, Row, RowReader, Shards};
use crate::token_cache::{TokenCache, Writer};
use crate::{Error, random};
use jiff::Timestamp;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use std::path::{Path, PathBuf};
use std::time::Instant;
use temper_artifact::{ModelSource, memory, processor};
use temper_contract::config::{self, Dataset, ExcessLengthStrategy, Validation};
use temper_contract::report::{DatasetCounts, PrepareReport};
use temper_contract::request::EvaluateRequest;
use temper_contract::{Event, TrainerConfig, layout};

/// Reads, filters and tokenises a job's data into the token caches of its run folder (`layout::TRAIN_CACHE`, and
/// `layout::VALIDATION_CACHE` where the job has validation data), and reports what became of the rows. Caches of an earlier run are used
/// again when nothing that they depend on has changed. Templates that write the date write that of the run's first preparation, which the
/// run folder keeps. The caller writes the report down.
///
/// Of each data set every rejected row counts against `maxRejectedFraction`, filtered ones and duplicates too: a filter that throws away
/// more than the user expects is a mistake like any other.
pub fn prepare(config: &TrainerConfig, source: &ModelSource, on_event: &mut dyn FnMut(Event)) -> Result<PrepareReport, Error> {
    let started = Instant::now();
    let dataset = &config.dataset;
    let parameters = temper_artifact::parameters::count(source.config(), &config.method)?;
    let bf16 = processor::bf16(config.parallelism.device);
    let memory = memory::estimate(source.config(), source.stored_bytes(), config, bf16)?;
    let encoder = encoder(source, dataset, || day::of_run(&config.run_folder), on_event)?;
    let filters = Filters::new(&dataset.filters)?;
    let shards = Shards::find(&dataset.path)?;
    let validation_shards = match &dataset.validation {
        Some(Validation::Path(path)) => Some(Shards::find(path)?),
        _ => None,
    };
    let digest = identity::of(dataset, &encoder, [Some(&shards), validation_shards.as_ref()], on_event)?;
    let folders = Folders {
        train: config.run_folder.join(layout::TRAIN_CACHE),
        validation: dataset.validation.as_ref().map(|_| config.run_folder.join(layout::VALIDATION_CACHE)),
    };
    let reused = folders.counts_of(&digest);
    let counts = match reused.clone() {
        Some(counts) => counts,
        None => {
            let vocab_size = source.config().vocab_size;
            let job = Job { dataset, encoder: &encoder, vocab_size, digest: &digest };
            job.build(filters, &shards, validation_shards.as_ref(), &folders, on_event)?
        }
    };
    if folders.validation.is_some() && counts.validation == 0 {
        let message = format!(
            "the validation split left no row of {} for validation; raise spec.dataset.validation.split or give more rows",
            counts.accepted
        );
        on_event(Event::Warning { message });
    }
    on_event(Event::Prepared { counts: counts.clone(), reused: reused.is_some() });
    Ok(PrepareReport {
        counts,
        digest,
        chat_template_digest: encoder.template().map(crate::ChatTemplate::digest),
        base_model_digest: source.digest()?,
        parameters,
        memory_estimate_bytes: memory.total,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Tokenises the data set of an evaluation into a token cache in `folder`. Rows that cannot be used are counted and left out; only a
/// data set without a single good row fails.
pub fn tokenise(
    request: &EvaluateRequest,
    source: &ModelSource,
    folder: &Path,
    on_event: &mut dyn FnMut(Event),
) -> Result<DatasetCounts, Error> {
    let dataset = Dataset {
        path: request.data.clone(),
        fetch: None,
        fetch_validation: None,
        format: request.format,
        validation: None,
        chat_template: request.chat_template.clone(),
        max_length: request.max_length,
        excess_length_strategy: request.excess_length_strategy,
        packing: false,
        filters: config::Filters { max_rejected_fraction: 1.0, ..config::Filters::default() },
        seed: 0,
    };
    let encoder = encoder(source, &dataset, day::today, on_event)?;
    let shards = Shards::find(&dataset.path)?;
    let folders = Folders { train: folder.to_owned(), validation: None };
    let job = Job { dataset: &dataset, encoder: &encoder, vocab_size: source.config().vocab_size, digest: "" };
    job.build(Filters::new(&dataset.filters)?, &shards, None, &folders, on_event)
}

/// What turns the data set's rows into tokens. `day` is asked only where their text depends on it.
fn encoder(
    source: &ModelSource,
    dataset: &Dataset,
    day: impl FnOnce() -> Result<Timestamp, Error>,
    on_event: &mut dyn FnMut(Event),
) -> Result<Encoder, Error> {
    let tokenizer = source.tokenizer()?;
    let day = Encoder::needs_day(&tokenizer, dataset).then(day).transpose()?;
    let encoder = Encoder::new(&tokenizer, dataset, source.config().eos_token_ids.first().copied(), day)?;
    if encoder.lacks_end() {
        let message = "neither the tokenizer's files nor the model's configuration name an end token that the vocabulary has, so rows get none and the model does not learn where to stop; set eos_token in the base model's tokenizer_config.json, or eos_token_id in its config.json";
        on_event(Event::Warning { message: message.to_owned() });
    }
    Ok(encoder)
}

/// Where the caches go.
struct Folders {
    train: PathBuf,
    validation: Option<PathBuf>,
}

impl Folders {
    /// The counts of caches that are whole and were made from the same things, if that is what the folders hold.
    fn counts_of(&self, digest: &str) -> Option<DatasetCounts> {
        let usable = |folder: &Path| -> Option<DatasetCounts> {
            let cache = TokenCache::open(folder).ok().filter(|cache| cache.digest() == digest)?;
            cache.manifest().verify(folder).ok()?;
            Some(cache.manifest().counts.clone())
        };
        let counts = usable(&self.train)?;
        match &self.validation {
            Some(folder) => usable(folder).filter(|validation| *validation == counts),
            None => Some(counts),
        }
    }
}

struct Job<'a> {
    dataset: &'a Dataset,
    encoder: &'a Encoder,
    vocab_size: usize,
    digest: &'a str,
}

/// Where a row goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Train,
    Validation,
}

/// A row on its way to the tokenizer.
struct Accepted {
    place: Place,
    row: Row,
    side: Side,
}

/// Caches in the making, and what became of the rows so far.
struct Sinks {
    train: Writer,
    validation: Option<Writer>,
    counts: DatasetCounts,
}

/// Rows are tokenised in blocks of at most so many rows and (but for the last one) so many bytes of lines: all of a row is in memory, not
/// only its text.
const BLOCK_ROWS: usize = 512;
const BLOCK_BYTES: usize = 4 << 20;

impl Job<'_> {
    fn build(
        &self,
        filters: Filters,
        shards: &Shards,
        validation_shards: Option<&Shards>,
        folders: &Folders,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<DatasetCounts, Error> {
        let mut sinks = Sinks {
            train: Writer::create(&folders.train)?,
            validation: folders.validation.as_deref().map(Writer::create).transpose()?,
            counts: DatasetCounts::default(),
        };
        let mut rejections = Rejections::default();
        let split = match self.dataset.validation {
            Some(Validation::Split(fraction)) => fraction,
            _ => 0.0,
        };
        let side = |content: &ContentHash| if is_held_out(content, self.dataset.seed, split) { Side::Validation } else { Side::Train };
        self.read(shards, filters, &side, &mut sinks, &mut rejections, on_event)?;
        if let Some(shards) = validation_shards {
            self.read(shards, Filters::new(&self.dataset.filters)?, &|_| Side::Validation, &mut sinks, &mut rejections, on_event)?;
        }
        let Sinks { train, validation, mut counts } = sinks;
        if counts.accepted == 0 {
            let reason = "every row went to validation and none is left to train on; lower spec.dataset.validation.split or give more rows";
            return Err(Error::Rejected { path: shards.path.clone(), reason: reason.to_owned(), rejections: Box::new(rejections) });
        }
        on_event(Event::Preparing { stage: "writing".to_owned(), done: 0, total: 0 });
        let pack_to = self.dataset.packing.then_some(self.dataset.max_length);
        let train = train.finish(self.digest, pack_to)?;
        let validation = validation.map(|validation| validation.finish(self.digest, pack_to)).transpose()?;
        counts.tokens = train.manifest().tokens;
        counts.target_tokens = train.manifest().target_tokens;
        counts.examples = train.manifest().examples;
        counts.validation_tokens = validation.as_ref().map_or(0, |validation| validation.manifest().tokens);
        counts.rejected = rejections.to_report();
        // The training cache last: where it is, the other one is.
        if let Some(validation) = validation {
            validation.commit(&counts)?;
        }
        train.commit(&counts)?;
        Ok(counts)
    }

    /// Reads one data set to its end, then judges how much of it was rejected.
    fn read(
        &self,
        shards: &Shards,
        mut filters: Filters,
        side: &dyn Fn(&ContentHash) -> Side,
        sinks: &mut Sinks,
        rejections: &mut Rejections,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        let mut reader = RowReader::new(shards, self.dataset.format);
        let (rows_before, rejected_before) = (sinks.counts.rows, rejections.total());
        let mut block: Vec<Accepted> = Vec::new();
        let mut bytes = 0;
        let mut more = true;
        while more {
            match reader.next_row()? {
                None => more = false,
                Some((place, row)) => {
                    sinks.counts.rows += 1;
                    let checked = row.and_then(|row| {
                        let content = content_hash(&row);
                        filters.check(&row, &content)?;
                        Ok((row, side(&content)))
                    });
                    match checked {
                        Ok((row, side)) => {
                            bytes += reader.line_bytes();
                            block.push(Accepted { place, row, side });
                        }
                        Err(rejected) => rejections.add(|| place.to_string(), rejected),
                    }
                }
            }
            if !more || block.len() >= BLOCK_ROWS || bytes >= BLOCK_BYTES {
                self.flush(&mut block, sinks, rejections)?;
                bytes = 0;
                on_event(Event::Preparing {
                    stage: "tokenising".to_owned(),
                    done: reader.bytes_read().min(shards.bytes()),
                    total: shards.bytes(),
                });
            }
        }
        self.judge(shards, sinks.counts.rows - rows_before, rejections.total() - rejected_before, rejections)
    }

    /// Tokenises a block on all processors and writes it in order.
    fn flush(&self, block: &mut Vec<Accepted>, sinks: &mut Sinks, rejections: &mut Rejections) -> Result<(), Error> {
        let encoded: Vec<Result<Tokens, Rejected>> = block.par_iter().map(|accepted| self.encoder.encode(&accepted.row)).collect();
        for (Accepted { place, side, .. }, tokens) in block.drain(..).zip(encoded) {
            let tokens = match tokens {
                Ok(tokens) => tokens,
                Err(rejected)
                    if rejected.reason == Reason::ExcessLength && self.dataset.excess_length_strategy == ExcessLengthStrategy::Fail =>
                {
                    let reason =
                        format!("{}; shorten it, raise maxLength, or set excessLengthStrategy to truncate or drop", rejected.detail);
                    return Err(Error::Row { place: place.to_string(), reason });
                }
                Err(rejected) => {
                    rejections.add(|| place.to_string(), rejected);
                    continue;
                }
            };
            if let Some(&id) = tokens.ids.iter().find(|&&id| id as usize >= self.vocab_size) {
                return Err(Error::Vocabulary { id, vocab_size: self.vocab_size });
            }
            let counts = &mut sinks.counts;
            counts.truncated += u64::from(tokens.truncated);
            let writer = match (&mut sinks.validation, side) {
                (Some(validation), Side::Validation) => {
                    counts.validation += 1;
                    validation
                }
                _ => {
                    counts.accepted += 1;
                    &mut sinks.train
                }
            };
            writer.push(&tokens.ids, &tokens.targets)?;
        }
        Ok(())
    }

    fn judge(&self, shards: &Shards, rows: u64, rejected: u64, rejections: &Rejections) -> Result<(), Error> {
        if rows == 0 {
            return Err(Error::dataset(&shards.path, "it holds no row, only empty lines; it needs at least one"));
        }
        let limit = self.dataset.filters.max_rejected_fraction;
        let reason = if rejected == rows {
            format!("all {rows} rows are rejected; check that spec.dataset.format ({:?}) is what the rows have", self.dataset.format)
        } else if rejected as f64 > limit * rows as f64 {
            format!(
                "{rejected} of {rows} rows ({:.1} %) are rejected, maxRejectedFraction is {limit}; mend the rows below, change the filters, or raise spec.dataset.filters.maxRejectedFraction",
                100.0 * rejected as f64 / rows as f64
            )
        } else {
            return Ok(());
        };
        Err(Error::Rejected { path: shards.path.clone(), reason, rejections: Box::new(rejections.clone()) })
    }
}

/// Whether a row is held out: by its content and the seed alone, so the split does not depend on the order of rows, and a row stays on its
/// side when others come or go.
fn is_held_out(content: &ContentHash, seed: u64, fraction: f64) -> bool {
    let mut half = [0; 8];
    half.copy_from_slice(&content[..8]);
    let draw = random::mix(u64::from_le_bytes(half).wrapping_add(random::mix(seed)));
    // The upper 53 bits as a number in [0, 1).
    ((draw >> 11) as f64) < fraction * (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;
