//! What objects carry, and what changes them.

use crate::example::{self, Example, settings, with};
use serde_json::{Value, json};
use temper_objects::{Object, prepare, publish, trainers};

fn kinds(objects: &[Object]) -> Vec<(&'static str, &str)> {
    objects.iter().map(|object| (object.kind(), object.name())).collect()
}

fn find(objects: Vec<Object>, kind: &str) -> Object {
    objects.into_iter().find(|object| object.kind() == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn trained(example: &Example, attempt: u64, nodes: usize, processes: usize, max_restarts: u64) -> Vec<Object> {
    trainers(&example.job, &example.owner, &settings(), attempt, nodes, processes, max_restarts)
}

fn container(job: &Object) -> Value {
    job.to_value()["spec"]["template"]["spec"]["containers"][0].clone()
}

fn variable(container: &Value, name: &str) -> Value {
    let variables = container["env"].as_array().expect("variables");
    variables.iter().find(|variable| variable["name"] == name).map_or(Value::Null, |variable| variable["value"].clone())
}

#[test]
fn what_a_pod_needs_comes_before_it() {
    let Example { job, owner } = example::small();
    let built = prepare(&job, &owner, &settings(), 0);
    let wanted = [
        ("PersistentVolumeClaim", "tiny-run"),
        ("ConfigMap", "tiny-trainer"),
        ("NetworkPolicy", "tiny-transfer"),
        ("Job", "tiny-prepare-0"),
    ];
    assert_eq!(kinds(&built), wanted);
    let built = trained(&example::large(), 2, 4, 8, 0);
    let wanted = [
        ("ConfigMap", "listings-lora-trainer"),
        ("NetworkPolicy", "listings-lora-ranks"),
        ("Service", "listings-lora-ranks"),
        ("Job", "listings-lora-a2"),
    ];
    assert_eq!(kinds(&built), wanted);
}

#[test]
fn everything_belongs_to_the_job_and_says_so() {
    for (_, example) in example::all() {
        for object in example.objects() {
            let value = object.to_value();
            let owner = json!([{
                "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "name": example.owner.name, "uid": example.owner.uid,
                "controller": true, "blockOwnerDeletion": true,
            }]);
            assert_eq!(value["metadata"]["ownerReferences"], owner, "{}", object.name());
            assert_eq!(value["metadata"]["labels"]["temper.dev/job-name"], *example.owner.name);
            assert_eq!(value["metadata"]["labels"]["app.kubernetes.io/managed-by"], "temper");
            assert_eq!((value["kind"].as_str(), object.namespace()), (Some(object.kind()), "ml"));
        }
    }
}

#[test]
fn a_digest_tells_whether_what_is_there_is_current() {
    let example = example::small();
    let digest = |restarts| find(trained(&example, 0, 1, 1, restarts), "ConfigMap").content_digest().map(str::to_owned);
    assert!(digest(3).is_some_and(|digest| digest.len() == 71 && digest.starts_with("sha256:")));
    assert_eq!(digest(3), digest(3));
    assert_ne!(digest(3), digest(2), "other restarts are another configuration");
    // Stages write the ConfigMap anew only where restarts have changed it.
    let prepared = find(prepare(&example.job, &example.owner, &settings(), 0), "ConfigMap");
    let published = find(publish(&example.job, &example.owner, &settings(), 0, None), "ConfigMap");
    assert_eq!((prepared.content_digest(), published.content_digest()), (digest(3).as_deref(), digest(3).as_deref()));
    let policy = |nodes| find(trained(&example, 0, nodes, 1, 0), "NetworkPolicy").content_digest().map(str::to_owned);
    assert_ne!(policy(1), policy(2), "more ranks have more ports");
}

#[test]
fn claims_and_jobs_are_made_once() {
    for object in example::small().objects() {
        let is_made_once = matches!(object.kind(), "PersistentVolumeClaim" | "Job");
        assert_eq!((object.is_made_once(), object.content_digest().is_none()), (is_made_once, is_made_once), "{}", object.kind());
    }
}

#[test]
fn a_job_of_several_machines_shares_its_claim_among_them() {
    let example = example::small();
    let modes = |nodes| find(trained(&example, 0, nodes, 1, 0), "PersistentVolumeClaim").to_value()["spec"]["accessModes"].clone();
    assert_eq!((modes(1), modes(2)), (json!(["ReadWriteOnce"]), json!(["ReadWriteMany"])));
}

#[test]
fn a_resized_attempt_is_of_the_size_that_the_intent_says() {
    let built = trained(&example::large(), 3, 2, 8, 0);
    let job = find(built.clone(), "Job");
    let value = job.to_value();
    assert_eq!((&value["spec"]["completions"], &value["spec"]["parallelism"]), (&json!(2), &json!(2)));
    assert_eq!(variable(&container(&job), "WORLD_SIZE"), "16");
    let data = find(built, "ConfigMap").to_value()["data"]["trainer-config.json"].clone();
    let config: Value = serde_json::from_str(data.as_str().expect("text")).expect("JSON");
    assert_eq!((&config["parallelism"]["numNodes"], &config["parallelism"]["numProcPerNode"]), (&json!(2), &json!(8)));
    // The global batch stays what it was.
    assert_eq!(config["parallelism"]["microBatchesPerStep"], 4 * 4 * 8);
}

#[test]
fn only_the_training_job_stands_in_a_queue() {
    let Example { job, owner } = example::large();
    let training = find(trained(&example::large(), 0, 4, 8, 0), "Job").to_value();
    assert_eq!(training["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "gpu");
    assert_eq!(training["spec"]["suspend"], true);
    assert!(training["spec"]["template"]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"].is_null());
    let preparing = find(prepare(&job, &owner, &settings(), 0), "Job").to_value();
    assert!(preparing["metadata"]["labels"]["kueue.x-k8s.io/queue-name"].is_null() && preparing["spec"]["suspend"].is_null());
    let unqueued = find(trained(&example::small(), 0, 1, 1, 0), "Job").to_value();
    assert!(unqueued["spec"]["suspend"].is_null(), "whether it runs is nobody's but the Job controller's");
}

#[test]
fn what_is_asked_of_the_network_between_pods_stands_where_kueue_reads_it() {
    let asked = json!({
        "kueue.x-k8s.io/podset-required-topology": "cloud.provider.com/topology-block",
        "kueue.x-k8s.io/podset-slice-required-topology": "cloud.provider.com/topology-rack",
        "kueue.x-k8s.io/podset-slice-size": "2",
    });
    let mut annotations = asked.clone();
    for other in ["kueue.x-k8s.io/podset-group-name", "kueue.x-k8s.io/other", "example.com/note"] {
        annotations[other] = json!("x");
    }
    let example = example::annotated(&annotations);
    let training = find(trained(&example, 0, 2, 1, 0), "Job").to_value();
    assert_eq!(training["spec"]["template"]["metadata"]["annotations"], asked);
    assert_eq!(training["metadata"]["annotations"], json!({ "temper.dev/job-uid": example.owner.uid }));
    let labels = training["metadata"]["labels"].as_object().expect("labels");
    assert!(labels.keys().all(|name| !name.starts_with("kueue.x-k8s.io/")), "{labels:?}");
    assert!(training["spec"]["suspend"].is_null(), "without a queue nobody is to be asked");
    for kind in ["preferred", "unconstrained"] {
        let name = format!("kueue.x-k8s.io/podset-{kind}-topology");
        let training = find(trained(&example::annotated(&json!({ &name: "x" })), 0, 2, 1, 0), "Job").to_value();
        assert_eq!(training["spec"]["template"]["metadata"]["annotations"], json!({ &name: "x" }));
    }
    let preparing = find(prepare(&example.job, &example.owner, &settings(), 0), "Job").to_value();
    assert!(preparing["spec"]["template"]["metadata"]["annotations"].is_null(), "it goes anywhere");
}

#[test]
fn only_training_pods_take_accelerators_and_go_where_the_spec_says() {
    let Example { job, owner } = example::large();
    for stage in [prepare(&job, &owner, &settings(), 0), publish(&job, &owner, &settings(), 0, None)] {
        let value = find(stage, "Job").to_value();
        let pod = &value["spec"]["template"]["spec"];
        let resources = &pod["containers"][0]["resources"];
        assert_eq!(resources, &json!({ "limits": { "cpu": "64" }, "requests": { "cpu": "1", "memory": "1Gi" } }));
        for field in ["nodeSelector", "priorityClassName", "runtimeClassName", "affinity", "subdomain"] {
            assert!(pod[field].is_null(), "{field}");
        }
        assert_eq!(pod["imagePullSecrets"], json!([{ "name": "registry-credentials" }]));
        assert_eq!(pod["serviceAccountName"], "trainer");
    }
}

#[test]
fn a_variable_reaches_the_trainer_as_it_was_written() {
    let variables = json!([{ "name": "NCCL_DEBUG_FILE", "value": "/tmp/$(HOSTNAME)-$5" }]);
    let example = with(&[("trainer", json!({ "env": variables }))]);
    let job = find(trained(&example, 0, 1, 1, 0), "Job");
    // The kubelet makes one `$` of two, and replaces `$(NAME)`.
    assert_eq!(variable(&container(&job), "NCCL_DEBUG_FILE"), "/tmp/$$(HOSTNAME)-$$5");
}

#[test]
fn the_jobs_variables_go_before_the_clusters_and_ours_before_both() {
    let mut settings = settings();
    settings.environment.extend([("NCCL_DEBUG".to_owned(), "INFO".to_owned()), ("HOME".to_owned(), "/root".to_owned())]);
    let Example { job, owner } = example::large();
    let container = container(&find(prepare(&job, &owner, &settings, 0), "Job"));
    let found = ["NCCL_DEBUG", "HOME", "HF_ENDPOINT"].map(|name| variable(&container, name));
    assert_eq!(found, [json!("WARN"), json!("/tmp"), json!("https://hub.example.com")]);
    let names: Vec<&str> = container["env"].as_array().expect("variables").iter().filter_map(|each| each["name"].as_str()).collect();
    let distinct: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), distinct.len(), "server-side apply refuses a name that is there twice");
}

#[test]
fn a_job_with_its_own_image_says_itself_when_it_is_pulled() {
    let of = |trainer: Value| {
        let container = container(&find(trained(&with(&[("trainer", trainer)]), 0, 1, 1, 0), "Job"));
        [container["image"].clone(), container["imagePullPolicy"].clone()]
    };
    assert_eq!(of(json!({})), [json!("ghcr.io/temper-dev/temper-trainer:0.1.0"), json!("IfNotPresent")]);
    assert_eq!(of(json!({ "image": "own" })), [json!("own"), json!(null)]);
    assert_eq!(of(json!({ "imagePullPolicy": "Always" }))[1], "Always");
}

#[test]
fn any_end_but_a_good_one_ends_the_try() {
    let job = find(trained(&example::small(), 0, 1, 1, 0), "Job").to_value();
    assert_eq!(job["spec"]["backoffLimit"], 0);
    let rules = job["spec"]["podFailurePolicy"]["rules"].as_array().expect("rules");
    assert!(rules.iter().all(|rule| rule["action"] == "FailJob"));
    let codes = |rule: &Value| rule["onExitCodes"]["values"].clone();
    assert_eq!(rules[0]["onPodConditions"], json!([{ "type": "DisruptionTarget", "status": "True" }]));
    assert_eq!([codes(&rules[1]), codes(&rules[2]), codes(&rules[3])], [json!([2, 10, 11, 15]), json!([16]), json!([0])]);
    assert_eq!(rules[3]["onExitCodes"]["operator"], "NotIn");
}
