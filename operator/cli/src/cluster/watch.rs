//! `temper get --watch`: a table that changes in place, or a row for each change.

use crate::arguments::cluster::{GetArgs, ListFormat};
use crate::cluster::access::Session;
use crate::cluster::get::{Group, head, look, named, plain, pretty, row, scope, tables, yaml};
use crate::cluster::kind::Kind;
use crate::cluster::lookup;
use crate::cluster::target::Target;
use crate::exit::Exit;
use crate::output::aside;
use crate::output::cluster::columns::{Cell, Widths};
use crate::output::format;
use crate::output::live::Live;
use crate::output::terminal::Terminal;
use crate::program::Program;
use anyhow::Result;
use futures::StreamExt;
use futures::stream::select_all;
use jiff::Timestamp;
use kube::core::DynamicObject;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Ages grow while nothing else happens.
const REDRAW: Duration = Duration::from_secs(1);

type Change = Result<Event<DynamicObject>, watcher::Error>;

/// Shows objects and what becomes of them, until the reader goes away.
///
/// # Errors
/// Where they cannot be had to begin with. What fails later is said and tried again.
pub async fn run(session: &Session, target: &Target, arguments: &GetArgs, terminal: Terminal, program: Program) -> Result<Exit> {
    let (kinds, names) = match target {
        Target::All(kinds) => (kinds.clone(), Vec::new()),
        Target::Named(names) => {
            let mut kinds: Vec<Kind> = names.iter().map(|(kind, _)| *kind).collect();
            kinds.sort();
            kinds.dedup();
            (kinds, names.clone())
        }
    };
    ask_first(session, &kinds, &names, arguments, program).await?;
    let streams = kinds.iter().map(|kind| {
        let kind = *kind;
        let (api, _) = scope(session, kind, arguments.all_namespaces);
        let mut config = watcher::Config::default();
        config.label_selector.clone_from(&arguments.selector);
        if let [(_, name)] = names.as_slice() {
            config = config.fields(&format!("metadata.name={name}"));
        }
        watcher(api, config).default_backoff().map(move |change| (kind, change)).boxed()
    });
    let mut changes = select_all(streams);
    let mut board = Board { names, open: kinds.len(), ..Board::default() };
    let mut display = Display { arguments, terminal, live: Live::default(), widths: Widths::default(), last: None };
    let mut redraw = interval(REDRAW);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let printed = tokio::select! {
            change = changes.next() => match change {
                Some((kind, change)) => display.show(&mut board, kind, change)?,
                None => false,
            },
            _ = redraw.tick(), if display.is_live() => display.redraw(&board)?,
        };
        if !printed {
            return Ok(Exit::Success);
        }
    }
}

/// Lets what is wrong from the beginning be told as such: a watch would try for ever.
async fn ask_first(session: &Session, kinds: &[Kind], names: &[(Kind, String)], arguments: &GetArgs, program: Program) -> Result<()> {
    for kind in kinds {
        let (api, place) = scope(session, *kind, arguments.all_namespaces);
        let what = format!("list {}s in {place}", kind.name());
        session.ask(&what, api.list_metadata(&kube::api::ListParams::default().limit(1))).await?;
    }
    for (kind, name) in names {
        lookup::object(session, *kind, name, program).await?;
    }
    Ok(())
}

/// Objects by kind, namespace and name.
#[derive(Default)]
struct Board {
    objects: BTreeMap<(Kind, String, String), Value>,
    /// What is watched; empty for everything.
    names: Vec<(Kind, String)>,
    /// Kinds whose first list is not whole yet.
    open: usize,
    trouble: Option<String>,
}

impl Board {
    /// Takes a change in. The object that is new or changed, if one is.
    fn take(&mut self, kind: Kind, change: Change) -> Option<Value> {
        match change {
            Ok(Event::Init) => {
                self.objects.retain(|(known, ..), _| *known != kind);
                None
            }
            Ok(Event::InitDone) => {
                self.open = self.open.saturating_sub(1);
                self.trouble = None;
                None
            }
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                self.trouble = None;
                let key = key(kind, &object);
                let is_wanted = self.names.is_empty() || self.names.iter().any(|(kind, name)| (*kind, name) == (key.0, &key.2));
                is_wanted.then(|| {
                    let object = plain(object);
                    self.objects.insert(key, object.clone());
                    object
                })
            }
            Ok(Event::Delete(object)) => {
                self.objects.remove(&key(kind, &object));
                None
            }
            Err(error) => {
                self.trouble = Some(error.to_string());
                None
            }
        }
    }

    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for ((kind, ..), object) in &self.objects {
            match groups.last_mut() {
                Some((last, objects)) if last == kind => objects.push(object.clone()),
                _ => groups.push((*kind, vec![object.clone()])),
            }
        }
        groups
    }
}

fn key(kind: Kind, object: &DynamicObject) -> (Kind, String, String) {
    let metadata = &object.metadata;
    (kind, metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// Where and how objects are shown.
struct Display<'a> {
    arguments: &'a GetArgs,
    terminal: Terminal,
    live: Live,
    widths: Widths,
    /// The kind that the last row was of: rows of another begin with a head.
    last: Option<Kind>,
}

impl Display<'_> {
    fn is_live(&self) -> bool {
        self.terminal.live && matches!(self.arguments.output, ListFormat::Table | ListFormat::Wide)
    }

    /// Shows a change; false where nobody reads any more.
    fn show(&mut self, board: &mut Board, kind: Kind, change: Change) -> Result<bool> {
        let known = board.trouble.clone();
        let object = board.take(kind, change);
        if self.is_live() {
            return if board.open == 0 { self.redraw(board) } else { Ok(true) };
        }
        if let Some(trouble) = board.trouble.as_ref().filter(|trouble| Some(*trouble) != known.as_ref()) {
            aside::say(format_args!("{trouble}; trying again"));
        }
        let Some(object) = object else { return Ok(true) };
        let text = match self.arguments.output {
            ListFormat::Name => named(kind, &object),
            ListFormat::Json => pretty(&object)?,
            ListFormat::Yaml => format!("---\n{}", yaml(&object)?),
            ListFormat::Table | ListFormat::Wide => self.line(kind, &object),
        };
        format::print_to_reader(&text)
    }

    fn redraw(&mut self, board: &Board) -> Result<bool> {
        let mut text = tables(&board.groups(), look(self.arguments, self.terminal), self.terminal, Timestamp::now());
        if let Some(trouble) = &board.trouble {
            text.push_str(&format!("{trouble}; trying again\n"));
        }
        format::print_to_reader(&self.live.frame(&text))
    }

    fn line(&mut self, kind: Kind, object: &Value) -> String {
        let look = look(self.arguments, self.terminal);
        let mut text = String::new();
        if self.last != Some(kind) {
            self.last = Some(kind);
            let head: Vec<Cell> = head(kind, look).into_iter().map(Cell::from).collect();
            self.widths = Widths::default();
            self.widths.fit(&head);
            text.push_str(&self.widths.line(&head, self.terminal));
        }
        let row = row(kind, object, look, Timestamp::now());
        self.widths.fit(&row);
        text + &self.widths.line(&row, self.terminal)
    }
}
