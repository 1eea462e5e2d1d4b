//! `temper get`.

use crate::arguments::cluster::{GetArgs, ListFormat};
use crate::cluster::access::{self, Session};
use crate::cluster::kind::Kind;
use crate::cluster::target::{self, Target};
use crate::cluster::{lookup, watch};
use crate::exit::{Exit, Stop};
use crate::output::aside;
use crate::output::cluster::columns::{self, Cell};
use crate::output::cluster::job_rows::Look;
use crate::output::cluster::{job_rows, version_rows};
use crate::output::format;
use crate::output::terminal::Terminal;
use crate::program::Program;
use anyhow::{Context, Result};
use jiff::Timestamp;
use kube::Api;
use kube::api::ListParams;
use kube::core::DynamicObject;
use serde_json::{Value, json};

/// Objects in one answer; more are asked for page by page.
const PAGE: u32 = 500;

/// Objects of one kind.
pub type Group = (Kind, Vec<Value>);

/// Lists objects.
///
/// # Errors
/// Where they cannot be had.
pub fn run(arguments: &GetArgs, terminal: Terminal, program: Program) -> Result<Exit> {
    let target = target::parse(&arguments.what)?;
    if arguments.selector.is_some() && matches!(target, Target::Named(_)) {
        return Err(Stop::usage("--selector: an object that is named needs none", "give names or --selector, not both").into());
    }
    access::block_on(async {
        let session = Session::open(&arguments.access).await?;
        if arguments.watch {
            return watch::run(&session, &target, arguments, terminal, program).await;
        }
        let (groups, missing) = find(&session, &target, arguments, program).await?;
        let text = shown(&groups, &target, arguments, terminal, &session.namespace)?;
        format::print(&text)?;
        missing.map_or(Ok(Exit::Success), |stop| Err(stop.into()))
    })
}

/// The objects, and what to say of the first that was named and is not there.
async fn find(session: &Session, target: &Target, arguments: &GetArgs, program: Program) -> Result<(Vec<Group>, Option<Stop>), Stop> {
    let mut groups: Vec<Group> = Vec::new();
    let mut missing = None;
    match target {
        Target::All(kinds) => {
            for kind in kinds {
                groups.push((*kind, list(session, *kind, arguments).await?));
            }
        }
        Target::Named(_) if arguments.all_namespaces => {
            return Err(Stop::usage("--all-namespaces: a name is one object's, in one namespace", "choose the namespace with -n"));
        }
        Target::Named(names) => {
            for (kind, name) in names {
                match lookup::object(session, *kind, name, program).await {
                    Ok(object) => group(&mut groups, *kind).push(plain(object)),
                    Err(stop) => missing = missing.or(Some(stop)),
                }
            }
        }
    }
    Ok((groups, missing))
}

fn group(groups: &mut Vec<Group>, kind: Kind) -> &mut Vec<Value> {
    let place = groups.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
        groups.push((kind, Vec::new()));
        groups.len() - 1
    });
    &mut groups[place].1
}

async fn list(session: &Session, kind: Kind, arguments: &GetArgs) -> Result<Vec<Value>, Stop> {
    let (api, place) = scope(session, kind, arguments.all_namespaces);
    let mut parameters = ListParams::default().limit(PAGE);
    parameters.label_selector.clone_from(&arguments.selector);
    let mut objects = Vec::new();
    loop {
        let page = session.ask(&format!("list {}s in {place}", kind.name()), api.list(&parameters)).await?;
        objects.extend(page.items.into_iter().map(plain));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => return Ok(objects),
        }
    }
}

/// Where to look, and how to say it.
pub(super) fn scope(session: &Session, kind: Kind, all_namespaces: bool) -> (Api<DynamicObject>, String) {
    if all_namespaces {
        (Api::all_with(session.client.clone(), &kind.api_resource()), "all namespaces".to_owned())
    } else {
        (lookup::api(session, kind), format!("namespace {}", session.namespace))
    }
}

/// The object without what only field managers read.
pub(super) fn plain(mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    serde_json::to_value(object).unwrap_or_default()
}

/// Which columns a table has.
pub(super) fn look(arguments: &GetArgs, terminal: Terminal) -> Look {
    Look { namespace: arguments.all_namespaces, bar: terminal.live, wide: arguments.output == ListFormat::Wide }
}

/// The columns' names.
pub(super) fn head(kind: Kind, look: Look) -> Vec<&'static str> {
    match kind {
        Kind::FineTuneJob => job_rows::head(look),
        Kind::ModelVersion => version_rows::head(look),
    }
}

/// One object as a row.
pub(super) fn row(kind: Kind, object: &Value, look: Look, now: Timestamp) -> Vec<Cell> {
    match kind {
        Kind::FineTuneJob => job_rows::row(object, look, now),
        Kind::ModelVersion => version_rows::row(object, look, now),
    }
}

/// One table a kind, each kind that has objects.
pub(super) fn tables(groups: &[Group], look: Look, terminal: Terminal, now: Timestamp) -> String {
    let table = |(kind, objects): &Group| {
        let rows: Vec<Vec<Cell>> = objects.iter().map(|object| row(*kind, object, look, now)).collect();
        columns::table(&head(*kind, look), &rows, terminal)
    };
    let tables: Vec<String> = groups.iter().filter(|(_, objects)| !objects.is_empty()).map(table).collect();
    tables.join("\n")
}

fn shown(groups: &[Group], target: &Target, arguments: &GetArgs, terminal: Terminal, namespace: &str) -> Result<String> {
    match arguments.output {
        ListFormat::Name => Ok(groups.iter().flat_map(|(kind, objects)| objects.iter().map(|object| named(*kind, object))).collect()),
        ListFormat::Json => document(groups, target).map_or(Ok(String::new()), |document| pretty(&document)),
        ListFormat::Yaml => document(groups, target).map_or(Ok(String::new()), |document| yaml(&document)),
        ListFormat::Table | ListFormat::Wide => {
            let text = tables(groups, look(arguments, terminal), terminal, Timestamp::now());
            if text.is_empty() && matches!(target, Target::All(_)) {
                let place = if arguments.all_namespaces { "any namespace".to_owned() } else { format!("namespace {namespace}") };
                aside::say(format_args!("No resources found in {place}."));
            }
            Ok(text)
        }
    }
}

/// One document of all the objects: a list, unless one object is named.
fn document(groups: &[Group], target: &Target) -> Option<Value> {
    let objects: Vec<&Value> = groups.iter().flat_map(|(_, objects)| objects).collect();
    match target {
        Target::Named(names) if names.len() == 1 => objects.first().map(|object| (*object).clone()),
        _ => Some(json!({ "apiVersion": "v1", "kind": "List", "items": objects, "metadata": { "resourceVersion": "" } })),
    }
}

/// KIND.GROUP/NAME.
pub(super) fn named(kind: Kind, object: &Value) -> String {
    format!("{}/{}\n", kind.resource(), object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default())
}

/// A document of JSON.
pub(super) fn pretty(document: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(document).context("cannot write the object as JSON")? + "\n")
}

/// A document of YAML.
pub(super) fn yaml(document: &Value) -> Result<String> {
    serde_saphyr::to_string(document).context("cannot write the object as YAML")
}
