//! One pod's log as a stream of lines, which outlives lost connections.

use crate::cluster::logs::position::Position;
use crate::cluster::logs::tail::{Kept, Tail};
use crate::exit::Stop;
use futures::stream::{BoxStream, unfold};
use futures::{AsyncBufReadExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use std::pin::Pin;
use std::time::Duration;
use temper_objects::names::CONTAINER;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How long the API server may take to begin with a log, or to go on with one that is not followed.
const ANSWER: Duration = Duration::from_secs(30);
/// A pod that says nothing for so long is asked again: its connection may be dead.
const SILENCE: Duration = Duration::from_secs(60);
/// Between two tries, at first and at most.
const WAITS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// So many failures in a row are told, and end a log that is not followed.
const TOLD_AFTER: u32 = 3;

/// What a pod's log gives.
#[derive(Debug)]
pub(super) enum Item {
    /// A line, and when it was written.
    Line(Timestamp, String),
    /// What a person should know of the connection.
    Note(String),
    /// It cannot be read, nor can others.
    Refused(Stop),
}

/// What of a log is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Whether to go on until the pod has ended.
    pub(super) follow: bool,
    /// Only the last lines.
    pub(super) tail: Option<u32>,
    /// Only what was written in this time.
    pub(super) since: Option<Duration>,
}

type Lines = Pin<Box<dyn futures::AsyncBufRead + Send>>;

struct Source {
    pods: Api<Pod>,
    pod: String,
    wanted: Wanted,
    /// Whether the pod has ended: then its log has an end too.
    ended: watch::Receiver<bool>,
    refused: Box<dyn Fn(&kube::Error) -> Stop + Send>,
    lines: Option<Lines>,
    /// Counts the last lines, while what has been written so far is read to its end.
    tail: Option<Tail>,
    /// What it has kept and is not handed on yet.
    kept: Kept,
    position: Position,
    /// Whether the log was opened after the pod's end, so that its end is the end.
    is_last: bool,
    opened: u32,
    failures: u32,
    wait: Duration,
    is_over: bool,
}

/// The lines of a pod's log; of what has been written so far only those that `tail` keeps, if there is one: then the API server counts
/// none. `ended` says whether the pod has ended; `refused` what to say of an error.
pub(super) fn lines(
    pods: Api<Pod>,
    pod: String,
    wanted: Wanted,
    tail: Option<Tail>,
    ended: watch::Receiver<bool>,
    refused: impl Fn(&kube::Error) -> Stop + Send + 'static,
) -> BoxStream<'static, Item> {
    let source = Source {
        pods,
        pod,
        wanted,
        ended,
        refused: Box::new(refused),
        lines: None,
        tail,
        kept: Kept::new(),
        position: Position::default(),
        is_last: false,
        opened: 0,
        failures: 0,
        wait: WAITS.0,
        is_over: false,
    };
    unfold(source, |mut source| async move { source.next().await.map(|item| (item, source)) }).boxed()
}

impl Source {
    async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some((at, line)) = self.kept.pop_front() {
                return Some(Item::Line(at, line));
            }
            if self.is_over {
                // However it ended, what was kept is all there is.
                if self.release() {
                    continue;
                }
                return None;
            }
            let item = match self.lines.take() {
                None => self.open().await,
                Some(lines) => self.read(lines).await,
            };
            if item.is_some() {
                return item;
            }
        }
    }

    async fn open(&mut self) -> Option<Item> {
        let is_first = self.opened == 0;
        self.is_last = !self.wanted.follow || *self.ended.borrow();
        let since_time = self.position.reopen();
        let parameters = LogParams {
            container: Some(CONTAINER.to_owned()),
            // What has been written so far has an end only where it is not followed.
            follow: !self.is_last && self.tail.is_none(),
            timestamps: true,
            tail_lines: self.wanted.tail.filter(|_| is_first && self.tail.is_none()).map(i64::from),
            // What is asked for first counts until there is a line to go on from.
            since_seconds: self.wanted.since.filter(|_| since_time.is_none()).map(|since| since.as_secs().max(1).cast_signed()),
            since_time,
            ..LogParams::default()
        };
        match timeout(ANSWER, self.pods.log_stream(&self.pod, &parameters)).await {
            Ok(Ok(lines)) => {
                self.opened += 1;
                self.lines = Some(Box::pin(lines));
                None
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                // The pod is gone, and its log with it.
                self.is_over = true;
                None
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 400 => {
                // The container is not there yet, or never came to be.
                self.is_over = self.is_last;
                if !self.is_over {
                    self.pause().await;
                }
                None
            }
            Ok(Err(error @ kube::Error::Api(_))) if is_refusal(&error) => {
                self.is_over = true;
                Some(Item::Refused((self.refused)(&error)))
            }
            Ok(Err(error)) => self.failed(&(self.refused)(&error).message).await,
            Err(_) => self.failed("the API server does not answer").await,
        }
    }

    async fn read(&mut self, mut lines: Lines) -> Option<Item> {
        let mut bytes = Vec::new();
        let limit = if self.is_last { ANSWER } else { SILENCE };
        match timeout(limit, lines.read_until(b'\n', &mut bytes)).await {
            Ok(Ok(0)) => {
                self.is_over = self.is_last;
                // Whoever has read what was there goes on at once with what comes.
                if !self.release() && !self.is_over {
                    self.pause().await;
                }
                None
            }
            Ok(Ok(_)) => {
                self.lines = Some(lines);
                (self.failures, self.wait) = (0, WAITS.0);
                let (at, line) = self.dated(&bytes);
                if !self.position.is_new(at, &line) {
                    return None;
                }
                match &mut self.tail {
                    Some(tail) => {
                        tail.take(at, line);
                        None
                    }
                    None => Some(Item::Line(at, line)),
                }
            }
            Ok(Err(error)) => self.failed(&error.to_string()).await,
            Err(_) if self.is_last => self.failed("its log stands still").await,
            // Asked again, from where it is.
            Err(_) => None,
        }
    }

    /// Hands on what was kept of what had been written so far; false where nothing was counted.
    fn release(&mut self) -> bool {
        let Some(tail) = self.tail.take() else { return false };
        self.kept = tail.into_kept();
        true
    }

    /// A line, and its time, which stands before it. What the kubelet adds of its own has none.
    fn dated(&self, bytes: &[u8]) -> (Timestamp, String) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        match text.split_once(' ').map_or((text, ""), |parts| parts) {
            (time, rest) if time.parse::<Timestamp>().is_ok() => (time.parse().unwrap_or_default(), rest.to_owned()),
            _ => (self.position.newest().unwrap_or_default(), text.to_owned()),
        }
    }

    async fn failed(&mut self, why: &str) -> Option<Item> {
        self.failures += 1;
        if self.failures >= TOLD_AFTER && !self.wanted.follow {
            self.is_over = true;
            return Some(Item::Note(format!("the log of {} is not whole: {why}", self.pod)));
        }
        let note =
            (self.failures == TOLD_AFTER).then(|| Item::Note(format!("the log of {} is interrupted: {why}; trying again", self.pod)));
        self.pause().await;
        note
    }

    /// Waits a while, longer each time; the pod's end cuts it short.
    async fn pause(&mut self) {
        let wait = self.wait;
        self.wait = (self.wait * 2).min(WAITS.1);
        if *self.ended.borrow() {
            return sleep(wait).await;
        }
        let ended = &mut self.ended;
        tokio::select! {
            () = sleep(wait) => {}
            // A sender that is gone says nothing any more.
            Ok(_) = ended.wait_for(|ended| *ended) => {}
        }
    }
}

/// Whether it is no use to try again, nor with other pods.
fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}
