//! What rank 0 of a running attempt says on `/metrics`: fetched at intervals, and only the latest kept.
//!
//! `Scraper` is the edge: one task a running attempt. Reading the text is `metrics_text`'s.

use super::metrics_text;
use crate::metrics::Metrics;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use k8s_openapi::jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use temper_planner::Progress;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Longer than any trainer takes to answer; a pod that is gone must not hold a slot.
const PATIENCE: Duration = Duration::from_secs(5);
/// Larger than every rank's metrics together.
const LARGEST_ANSWER: usize = 1 << 20;
/// Scrapes at the same time.
const AT_ONCE: usize = 64;
/// Failures in a row after which a target is given up; who still wants it names it again.
const PATIENT_FAILURES: u32 = 40;
/// Until an attempt's first answer: its ranks load the model, and the first step should be seen soon.
const FIRST_INTERVAL: Duration = Duration::from_secs(2);

/// What the trainers of an attempt last said.
#[derive(Clone, Debug, PartialEq)]
pub struct Scraped {
    /// The attempt.
    pub attempt: u64,
    /// How far training is.
    pub progress: Progress,
    /// When it was last seen to have got on.
    pub last_progress: Timestamp,
    /// When it last got on, by its own clock.
    pub got_on_at: Option<f64>,
    /// Restarts in place, over all attempts.
    pub in_place_restarts: u64,
    /// The newest durable checkpoint's step, if there is one.
    pub checkpoint_step: Option<u64>,
    /// The attempt that wrote it.
    pub checkpoint_attempt: u64,
}

/// Where an attempt's rank 0 is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The attempt.
    pub attempt: u64,
    /// Rank 0's metrics.
    pub address: SocketAddr,
}

/// Keeps what running attempts say.
pub struct Scraper {
    interval: Duration,
    slots: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    /// Told which job's scrape has news.
    news: mpsc::UnboundedSender<(String, String)>,
    watched: Mutex<HashMap<String, Watched>>,
}

struct Watched {
    target: Target,
    latest: Option<Scraped>,
    task: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scraper {
    /// A scraper that tells `news` the namespace and name of a job with something new.
    pub fn new(interval: Duration, metrics: Arc<Metrics>, news: mpsc::UnboundedSender<(String, String)>) -> Arc<Self> {
        Arc::new(Self { interval, slots: Arc::new(Semaphore::new(AT_ONCE)), metrics, news, watched: Mutex::default() })
    }

    /// What the job's trainers last said.
    pub fn latest(&self, uid: &str) -> Option<Scraped> {
        self.lock().get(uid).and_then(|watched| watched.latest.clone())
    }

    /// From now on, this is where the job's rank 0 is. The same target again changes nothing.
    pub fn watch(self: &Arc<Self>, uid: &str, namespace: &str, name: &str, target: Target) {
        let mut watched = self.lock();
        if watched.get(uid).is_some_and(|known| known.target == target) {
            return;
        }
        let before = watched.remove(uid).and_then(|known| known.latest.clone());
        let (scraper, key, job, aim) = (Arc::clone(self), uid.to_owned(), (namespace.to_owned(), name.to_owned()), target.clone());
        let task = tokio::spawn(async move { scraper.run(&key, job, &aim).await }).abort_handle();
        watched.insert(uid.to_owned(), Watched { target, latest: before, task });
    }

    /// The job has no running attempt any more.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// There are only jobs with these UIDs.
    pub fn retain(&self, uids: &HashSet<&str>) {
        self.lock().retain(|uid, _| uids.contains(uid.as_str()));
    }

    async fn run(&self, uid: &str, job: (String, String), target: &Target) {
        let mut interval = FIRST_INTERVAL.min(self.interval);
        let mut failures = 0;
        while failures < PATIENT_FAILURES {
            let text = {
                let Ok(_slot) = self.slots.acquire().await else { return };
                // On the heap while it runs: a training is scraped for a moment and waited for much longer.
                timeout(PATIENCE, Box::pin(fetch(target.address))).await
            };
            let fetched = text.ok().and_then(Result::ok);
            self.metrics.scraped(fetched.is_some());
            failures = if fetched.is_some() { 0 } else { failures + 1 };
            if let Some(text) = fetched
                && let Some(said) = metrics_text::read(&text)
                && self.note(uid, target, &said, now())
            {
                interval = self.interval;
                if self.news.send(job.clone()).is_err() {
                    return;
                }
            }
            tokio::time::sleep(interval).await;
        }
        self.lock().retain(|key, known| key != uid || known.target != *target);
    }

    /// Keeps what was said; whether it is news.
    fn note(&self, uid: &str, target: &Target, said: &metrics_text::Said, now: Timestamp) -> bool {
        let mut watched = self.lock();
        let Some(known) = watched.get_mut(uid).filter(|known| known.target == *target) else { return false };
        let next = next(known.latest.as_ref(), target.attempt, said, now);
        match &mut known.latest {
            // Without news what is known stays as it was, with its time: another look at the job finds nothing to write. Only that it gets
            // on is kept: who looks for a stall finds it.
            Some(latest) if latest.says_the_same(&next) => {
                (latest.last_progress, latest.got_on_at) = (next.last_progress, next.got_on_at);
                false
            }
            latest => {
                *latest = Some(next);
                true
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Watched>> {
        // A panic elsewhere leaves the map as good as it was.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scraped {
    /// Whether nothing but times differ: of the scrape, and of when it last got on.
    fn says_the_same(&self, other: &Self) -> bool {
        let mut same = other.clone();
        same.progress.updated_at = self.progress.updated_at;
        (same.last_progress, same.got_on_at) = (self.last_progress, self.got_on_at);
        *self == same
    }
}

/// What is known after a scrape: progress counts from when a new step was seen, or another sign that it gets on.
fn next(before: Option<&Scraped>, attempt: u64, said: &metrics_text::Said, now: Timestamp) -> Scraped {
    let before = before.filter(|before| before.attempt == attempt);
    let started_at = said.started_at.or(before.map(|before| before.progress.started_at)).unwrap_or(now);
    let moved = before.is_none_or(|before| {
        before.progress.step != said.step || before.in_place_restarts != said.in_place_restarts || before.got_on_at != said.got_on_at
    });
    Scraped {
        attempt,
        last_progress: if moved { now } else { before.map_or(now, |before| before.last_progress) },
        got_on_at: said.got_on_at,
        in_place_restarts: said.in_place_restarts,
        checkpoint_step: said.checkpoint_step,
        checkpoint_attempt: said.checkpoint_attempt.unwrap_or(attempt),
        progress: Progress {
            step: said.step,
            total_steps: said.total_steps,
            resumed_from_step: said.resumed_from_step.or(before.map(|before| before.progress.resumed_from_step)).unwrap_or(said.step),
            started_at,
            updated_at: now,
            epoch: said.epoch,
            training_loss: said.training_loss,
            validation_loss: said.validation_loss,
            learning_rate: said.learning_rate,
            gradient_norm: said.gradient_norm,
            tokens_per_second: said.tokens_per_second,
            gpu_memory_bytes: said.gpu_memory_bytes,
        },
    }
}

fn now() -> Timestamp {
    super::whole_second(Timestamp::now())
}

async fn fetch(address: SocketAddr) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = http::Request::get("/metrics").header(http::header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await?.to_bytes();
    connection.abort();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[cfg(test)]
mod tests;
