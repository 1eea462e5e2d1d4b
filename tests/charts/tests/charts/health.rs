//! Argo CD's health check in a real Lua, of the version that Argo CD's interpreter speaks, beside the rules of kstatus.

use crate::kstatus::{Kstatus, kstatus};
use mlua::serde::ser::Options;
use mlua::{Lua, LuaOptions, LuaSerdeExt, StdLib};
use serde_json::{Value, json};
use temper_chart_tests::{Manifest, repository};

/// What the check says of an object: status and message.
fn health(object: &Value) -> (String, String) {
    // Argo CD gives a check no library that reaches outside of it; this one needs none at all.
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::default()).expect("a Lua");
    let options = Options::new().serialize_none_to_null(false).serialize_unit_to_null(false).set_array_metatable(false);
    lua.globals().set("obj", lua.to_value_with(object, options).expect("plain data")).expect("a table takes it");
    let script = repository::read("deploy/argocd/health.lua").expect("the check");
    let answer: Value =
        lua.from_value(lua.load(script).eval().unwrap_or_else(|error| panic!("{error}\nfor {object}"))).expect("a table of texts");
    let text = |field: &str| answer[field].as_str().unwrap_or_else(|| panic!("{field} of {answer} for {object}")).to_owned();
    (text("status"), text("message"))
}

/// The same verdict in both tongues.
fn agrees(health: &str, kstatus: Kstatus) -> bool {
    match kstatus {
        Kstatus::Current => health == "Healthy",
        Kstatus::InProgress => health == "Progressing" || health == "Suspended",
        Kstatus::Failed => health == "Degraded",
        Kstatus::Terminating => health == "Progressing",
    }
}

/// An object at generation 2 with these conditions, each with a reason and a message that name it.
fn object(kind: &str, observed: u64, conditions: &[(&str, &str)]) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(type_, status)| json!({ "type": type_, "status": status, "reason": format!("{type_}Reason"), "message": format!("{type_} it is") }))
        .collect();
    json!({
        "apiVersion": "temper.dev/v1alpha1",
        "kind": kind,
        "metadata": { "name": "listings", "generation": 2 },
        "status": { "observedGeneration": observed, "conditions": conditions },
    })
}

fn deleted(mut object: Value) -> Value {
    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    object
}

#[test]
fn each_state_has_its_health_and_kstatus_agrees() {
    const JOB: &str = "FineTuneJob";
    let done = &[("Ready", "True"), ("Reconciling", "False"), ("Stalled", "False"), ("Suspended", "False"), ("Complete", "True")][..];
    let training = &[("Ready", "False"), ("Reconciling", "True"), ("Stalled", "False"), ("Running", "True")][..];
    let failed = &[("Ready", "False"), ("Reconciling", "False"), ("Stalled", "True"), ("Failed", "True")][..];
    let waiting = &[("Ready", "False"), ("Reconciling", "False"), ("Stalled", "True"), ("Failed", "False")][..];
    let suspended = &[("Ready", "False"), ("Reconciling", "False"), ("Stalled", "False"), ("Suspended", "True")][..];
    let table = [
        (object(JOB, 2, done), "Healthy", "ReadyReason: Ready it is"),
        (object(JOB, 2, training), "Progressing", "ReconcilingReason: Reconciling it is"),
        (object(JOB, 2, failed), "Degraded", "StalledReason: Stalled it is"),
        (object(JOB, 2, waiting), "Degraded", "StalledReason: Stalled it is"),
        (object(JOB, 2, suspended), "Suspended", "SuspendedReason: Suspended it is"),
        (object(JOB, 2, &[("Ready", "Unknown")]), "Progressing", "ReadyReason: Ready it is"),
        (object(JOB, 2, &[("Ready", "False")]), "Progressing", "ReadyReason: Ready it is"),
        // What was decided for an older spec says nothing of this one.
        (object(JOB, 1, done), "Progressing", "the operator has not seen the latest change yet"),
        (object(JOB, 1, failed), "Progressing", "the operator has not seen the latest change yet"),
        (deleted(object(JOB, 2, done)), "Progressing", "it is being deleted"),
        (deleted(object(JOB, 2, failed)), "Progressing", "it is being deleted"),
        // A version in the registry has nothing to wait for.
        (object("ModelVersion", 2, &[]), "Healthy", "it is in the registry"),
        (json!({ "kind": "ModelVersion", "metadata": { "name": "listings-v1", "generation": 1 } }), "Healthy", "it is in the registry"),
        (object("ModelVersion", 2, &[("Ready", "True")]), "Healthy", "ReadyReason: Ready it is"),
        (object("ModelVersion", 2, &[("Stalled", "True"), ("Ready", "False")]), "Degraded", "StalledReason: Stalled it is"),
        (object("ModelVersion", 1, &[("Ready", "True")]), "Progressing", "the operator has not seen the latest change yet"),
        (deleted(object("ModelVersion", 2, &[])), "Progressing", "it is being deleted"),
    ];
    for (object, status, message) in table {
        assert_eq!(health(&object), (status.to_owned(), message.to_owned()), "{object}");
        assert!(agrees(status, kstatus(&object)), "kstatus says {:?} of {object}", kstatus(&object));
    }
}

/// kstatus cannot know that a status is to come, and calls a job that the operator has not seen yet current; Argo CD need not.
#[test]
fn a_job_that_nobody_has_seen_yet_is_not_healthy() {
    let new = json!({ "kind": "FineTuneJob", "metadata": { "name": "listings", "generation": 1 }, "spec": {} });
    assert_eq!(health(&new).0, "Progressing");
    assert_eq!(kstatus(&new), Kstatus::Current);
}

#[test]
fn a_condition_without_a_message_is_told_by_its_reason() {
    let mut object = object("FineTuneJob", 2, &[("Stalled", "True")]);
    object["status"]["conditions"][0]["message"] = json!("");
    assert_eq!(health(&object), ("Degraded".to_owned(), "StalledReason".to_owned()));
}

#[test]
fn argo_cd_gets_the_very_script() {
    let manifests = Manifest::parse(&repository::read("deploy/argocd/argocd-cm.yaml").expect("a ConfigMap")).expect("YAML");
    let script = repository::read("deploy/argocd/health.lua").expect("the check");
    let data = manifests[0].at("/data").as_object().expect("data");
    let keys: Vec<&String> = data.keys().collect();
    assert_eq!(keys, ["resource.customizations.health.temper.dev_FineTuneJob", "resource.customizations.health.temper.dev_ModelVersion"]);
    assert!(data.values().all(|value| *value == script.as_str()));
}
