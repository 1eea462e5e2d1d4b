//! Prints the lines of many pods as they come, in the order of their times.

use crate::arguments::cluster::LogFormat;
use crate::cluster::access::Session;
use crate::cluster::logs::merge::{Merge, Next};
use crate::cluster::logs::seen::Seen;
use crate::cluster::logs::source::{self, Item, Wanted};
use crate::cluster::logs::tail::Tail;
use crate::exit::Stop;
use crate::output::aside;
use crate::output::cluster::log_line::{Reader, Speaker};
use crate::output::cluster::when::When;
use crate::output::format;
use crate::output::terminal::Terminal;
use anyhow::Result;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use std::collections::BTreeMap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

type Lines = BoxStream<'static, Item>;
type Read = (usize, Option<Item>, Lines);

/// Reads, merges and prints.
pub(super) struct Printer {
    session: Session,
    pods: Api<Pod>,
    wanted: Wanted,
    rank: Option<u64>,
    format: LogFormat,
    terminal: Terminal,
    when: When,
    merge: Merge<(Timestamp, String)>,
    reads: FuturesUnordered<BoxFuture<'static, Read>>,
    /// Logs whose next line is there and not printed yet.
    held: BTreeMap<usize, Lines>,
    readers: Vec<Reader>,
    ended: Vec<watch::Sender<bool>>,
    is_refused: Option<Stop>,
}

impl Printer {
    pub(super) fn new(session: Session, pods: Api<Pod>, wanted: Wanted, rank: Option<u64>, format: LogFormat, terminal: Terminal) -> Self {
        Self {
            session,
            pods,
            wanted,
            rank,
            format,
            terminal,
            when: When::here(),
            merge: Merge::new(),
            reads: FuturesUnordered::new(),
            held: BTreeMap::new(),
            readers: Vec::new(),
            ended: Vec::new(),
            is_refused: None,
        }
    }

    /// Begins with a pod's log; its number from now on.
    pub(super) fn open(&mut self, pod: &Seen) -> usize {
        let number = self.readers.len();
        let (sender, receiver) = watch::channel(pod.state == super::State::Ended);
        let (session, what) = (self.session.clone(), format!("read the log of pod {}", pod.name));
        let refused = move |error: &kube::Error| session.refused(&what, error);
        let lines = source::lines(self.pods.clone(), pod.name.clone(), self.wanted.clone(), self.tail(), receiver, refused);
        self.readers.push(Reader::new(Speaker { pod: pod.name.clone(), stage: pod.attempt.stage.name().to_owned(), node: pod.node }));
        self.ended.push(sender);
        self.read(number, lines);
        number
    }

    /// Counts the last lines of one rank, where they are asked for: of those that would be printed.
    fn tail(&self) -> Option<Tail> {
        let (most, rank) = (self.wanted.tail?, self.rank?);
        let (mut reader, format, when) = (Reader::default(), self.format, self.when.clone());
        Some(Tail::new(most, move |at, line| match format {
            LogFormat::Text => reader.text(line, at, Some(rank), &when, Terminal::PLAIN).is_some(),
            LogFormat::Json => reader.json(line, Some(rank)).is_some(),
        }))
    }

    /// From now on pods are new: all that they say is asked for.
    pub(super) fn want_all(&mut self) {
        (self.wanted.tail, self.wanted.since) = (None, None);
    }

    /// A pod has ended: its log has an end.
    pub(super) fn pod_ended(&self, number: usize) {
        if let Some(sender) = self.ended.get(number) {
            sender.send_replace(true);
        }
    }

    /// Whether every log that was opened has come to its end.
    pub(super) fn is_done(&self) -> bool {
        self.merge.is_empty()
    }

    /// Prints the next line, or waits for one; false where nobody reads any more. It may be given up at any moment.
    ///
    /// # Errors
    /// Where logs may not be read, or nothing can be printed.
    pub(super) async fn advance(&mut self) -> Result<bool> {
        if let Some(stop) = self.is_refused.take() {
            return Err(stop.into());
        }
        match self.merge.next(Instant::now()) {
            Next::Line(number, (at, line)) => {
                let printed = self.print(number, at, &line)?;
                if let Some(lines) = self.held.remove(&number) {
                    self.read(number, lines);
                }
                return Ok(printed);
            }
            Next::Wait(until) => tokio::select! {
                Some(read) = self.reads.next() => self.take(read),
                () = sleep_until(until) => {}
            },
            Next::Idle => match self.reads.next().await {
                Some(read) => self.take(read),
                None => std::future::pending().await,
            },
        }
        Ok(true)
    }

    fn read(&mut self, number: usize, mut lines: Lines) {
        self.merge.awaits(number, Instant::now());
        self.reads.push(Box::pin(async move {
            let item = lines.next().await;
            (number, item, lines)
        }));
    }

    fn take(&mut self, (number, item, lines): Read) {
        match item {
            Some(Item::Line(at, line)) => {
                self.merge.arrived(number, at, (at, line));
                self.held.insert(number, lines);
            }
            Some(Item::Note(note)) => {
                aside::say(&note);
                self.read(number, lines);
            }
            Some(Item::Refused(stop)) => {
                self.merge.closed(number);
                self.is_refused = Some(stop);
            }
            None => self.merge.closed(number),
        }
    }

    fn print(&mut self, number: usize, at: Timestamp, line: &str) -> Result<bool> {
        let Some(reader) = self.readers.get_mut(number) else { return Ok(true) };
        // Days go by while logs are followed.
        self.when.now = Timestamp::now();
        let text = match self.format {
            LogFormat::Text => reader.text(line, at, self.rank, &self.when, self.terminal),
            LogFormat::Json => reader.json(line, self.rank),
        };
        text.map_or(Ok(true), |text| format::print_to_reader(&(text + "\n")))
    }
}
