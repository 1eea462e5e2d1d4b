//! `temper plan --cluster`: what would be made, and that nothing is.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};
use temper_cluster_tests::{ControlPlane, Namespace};
use temper_crds::FineTuneJob;

use super::{Ran, command, create, file, temper};

#[tokio::test]
async fn a_dry_run_shows_what_would_be_made_and_makes_nothing() {
    let namespace = Namespace::create("cli-plan").await;
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), &[("/spec/trainer/numNodes", json!(2)), ("/spec/baseModel/secretRef", json!({ "name": "unused" }))]);
    for (name, mode) in [("models", "ReadWriteMany"), ("runs", "ReadWriteOnce")] {
        let spec = json!({ "accessModes": [mode], "resources": { "requests": { "storage": "1Gi" } } });
        namespace.create_object::<PersistentVolumeClaim>(json!({ "metadata": { "name": name }, "spec": spec })).await;
    }
    let plan = temper(&namespace, &["plan", "--cluster", "-f", &path, "-o", "json"]).ended_with(0).json();
    assert_eq!(
        (&plan["action"], &plan["refusal"], &plan["modelVersion"]),
        (&json!("create"), &Value::Null, &json!("listings-v1, stage Staging"))
    );
    let objects = plan["objects"].as_array().unwrap();
    let of = |object: &Value| ["stage", "kind", "verdict"].map(|field| object[field].as_str().unwrap().to_owned());
    let shown: Vec<[String; 3]> = objects.iter().map(of).collect();
    for (stage, kind) in [
        ("prepare", "ConfigMap"),
        ("prepare", "Job"),
        ("prepare", "Pod"),
        ("train", "Service"),
        ("train", "Job"),
        ("train", "Pod"),
        ("publish", "Job"),
    ] {
        assert!(shown.contains(&[stage, kind, "accepted"].map(str::to_owned)), "{stage} {kind}: {plan:#}");
    }
    let references = plan["references"].as_array().unwrap();
    let found = |name: &str| references.iter().find(|reference| reference["name"] == name).map(|reference| reference["found"].clone());
    assert_eq!((found("models"), found("datasets"), found("unused")), (Some(json!(true)), Some(json!(false)), None));
    assert!(
        plan["warnings"].as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().contains("claim runs is ReadWriteOnce")),
        "{plan:#}"
    );
    let users = |flags: &[&str]| {
        let plan = temper(&namespace, &[&["plan", "--cluster", "-f", &path, "-o", "json"], flags].concat()).ended_with(0).json();
        let pods = plan["objects"].as_array().unwrap().iter().filter(|object| object["kind"] == "Pod");
        pods.map(|pod| pod["manifest"]["spec"]["securityContext"]["runAsUser"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!((users(&[]), users(&["--pods-without-user"])), (vec![Some(65532); 3], vec![None; 3]));
    let text = temper(&namespace, &["plan", "--cluster", "-f", &path]).ended_with(0);
    text.says(&["would be created", "listings-a0-0 (x2)", "PersistentVolumeClaim datasets is not there", "add --volume models=FOLDER"]);

    let count = |list: usize, what: &str| assert_eq!(list, 0, "{what} were made");
    count(namespace.api::<FineTuneJob>().list(&ListParams::default()).await.unwrap().items.len(), "FineTuneJobs");
    count(namespace.api::<Job>().list(&ListParams::default()).await.unwrap().items.len(), "Jobs");
    let maps = namespace.api::<ConfigMap>().list(&ListParams::default()).await.unwrap().items;
    count(maps.iter().filter(|map| map.name_any() != "kube-root-ca.crt").count(), "ConfigMaps");
}

#[tokio::test]
async fn a_dry_run_hands_on_the_api_servers_sentences() {
    let namespace = Namespace::create("cli-refused").await;
    let folder = tempfile::tempdir().unwrap();
    create(&namespace).await;
    let same = file(folder.path(), &[]);
    temper(&namespace, &["plan", "--cluster", "-f", &same]).ended_with(0).says(&["is there and would stay as it is"]);
    let changed = file(folder.path(), &[("/spec/hyperparameters/learningRate", json!("5e-4"))]);
    temper(&namespace, &["plan", "--cluster", "-f", &changed]).ended_with(3).says(&[
        "is refused by the API server",
        "spec.hyperparameters",
        "hyperparameters cannot be changed: create a new resource with another name to change it",
    ]);
    let other = [("/metadata/name", json!("other")), ("/spec/trainer/priorityClassName", json!("absent"))];
    let unclassed = file(folder.path(), &other);
    temper(&namespace, &["plan", "--cluster", "-f", &unclassed])
        .ended_with(3)
        .says(&["no PriorityClass with name absent was found", "REFUSED"]);
    let wrong = file(folder.path(), &[("/spec/baseModel/storageUri", json!("file:///tmp/model"))]);
    temper(&namespace, &["plan", "--cluster", "-f", &wrong]).ended_with(3).says(&["a pod cannot see this machine's files"]);
}

#[tokio::test]
async fn who_may_little_sees_little_and_is_told_so() {
    let namespace = Namespace::create("cli-rights").await;
    let folder = tempfile::tempdir().unwrap();
    let secret = json!({ "metadata": { "name": "hub" }, "stringData": { "token": "do-not-print-me" } });
    namespace.create_object::<Secret>(secret).await;
    let path = file(
        folder.path(),
        &[("/spec/baseModel/storageUri", json!("hf://org/model")), ("/spec/baseModel/secretRef", json!({ "name": "hub" }))],
    );
    let control_plane = ControlPlane::shared();
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(resources.iter().map(|name| (*name).to_owned()).collect()),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    };
    let author = namespace.service_account("author", &[rule("temper.dev", &["finetunejobs"], &["get", "create"])]).await;
    let author = control_plane.kubeconfig(control_plane.url(), "cli-author", &author);
    let ran: Ran = command(&author, namespace.name(), &["plan", "--cluster", "-f", &path, "-o", "json"]).output().unwrap().into();
    let plan = ran.ended_with(0).json();
    assert!(plan["objects"].as_array().unwrap().iter().all(|object| object["verdict"] == "notChecked"), "{plan:#}");
    assert!(plan["references"].as_array().unwrap().iter().all(|reference| reference["found"].is_null()), "{plan:#}");
    let requests =
        control_plane.audit().requests(|request| request.user.username.ends_with(":author") && request.response_status.code == 403);
    assert!(requests.is_empty(), "nothing was tried that is not allowed: {requests:?}");
    let ran: Ran = command(&author, namespace.name(), &["get"]).output().unwrap().into();
    ran.ended_with(7).says(&["finetunejobs.temper.dev is forbidden", "ask an administrator"]);

    let whole = temper(&namespace, &["plan", "--cluster", "-f", &path, "-o", "yaml"]).ended_with(0);
    assert!(whole.stdout.contains("name: hub") && !whole.stdout.contains("do-not-print-me"), "{}", whole.stdout);
    assert!(!whole.stdout.contains("ZG8tbm90LXByaW50LW1l"), "{}", whole.stdout);
}
