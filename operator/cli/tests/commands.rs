//! Every command's output, and what each says of mistakes.

mod support;

use serde_json::{Value, json};
use support::Setting;

#[test]
fn help_shows_examples_and_exit_codes() {
    let setting = Setting::new();
    insta::assert_snapshot!("help", setting.temper(&["--help"]).ended_with(0).stdout);
    insta::assert_snapshot!("help_run", setting.temper(&["run", "--help"]).ended_with(0).stdout);
    for command in ["validate", "plan", "generate", "evaluate", "get", "describe", "logs", "suspend", "resume", "completion"] {
        setting.temper(&[command, "--help"]).ended_with(0).says("Examples:");
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let setting = Setting::new();
    setting.temper(&[]).ended_with(2);
    setting.temper(&["run"]).ended_with(2).says("--filename");
    setting.temper(&["run", "-f", "job.yaml", "--volume", "models"]).ended_with(2).says("NAME=FOLDER");
    setting.run(&["--require", "loss<1"]).ended_with(2).says("perplexityDrop");
    setting.run(&["--compare-prompts", "prompts.jsonl", "--expect", "("]).ended_with(2).says("--expect");
    setting.run(&["--trainer", "nowhere"]).ended_with(2).says("nowhere");
    setting.temper(&["plan", "-f", "job.yaml", "-n", "ml"]).ended_with(2).says("add --cluster");
    setting.temper(&["describe"]).ended_with(2);
    setting.temper(&["get", "pods/a"]).ended_with(2).says("ftj/NAME");
    setting.temper(&["logs", "x", "--since", "soon"]).ended_with(2).says("5m");
    setting.temper(&["logs", "x", "--rank", "1", "--stage", "prepare"]).ended_with(2).says("only training has ranks");
    assert!(setting.stages().is_empty(), "nothing is started");
}

#[test]
fn without_a_cluster_its_commands_say_how_to_name_one() {
    let setting = Setting::new();
    for command in [&["get"][..], &["describe", "x"], &["logs", "x"], &["suspend", "x"], &["resume", "x"]] {
        setting.temper(command).ended_with(7).says("no kubeconfig file").says("--kubeconfig FILE");
    }
    std::fs::write(setting.path("kubeconfig"), "clusters: 7").expect("written");
    setting.temper(&["get", "--kubeconfig", "kubeconfig"]).ended_with(7).says("--kubeconfig kubeconfig cannot be used");
}

#[test]
fn completion_knows_the_commands_and_their_values() {
    let setting = Setting::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        setting.temper(&["completion", shell]).ended_with(0).says("TEMPER_COMPLETE");
    }
    let complete = |words: &[&str]| {
        let mut command = setting.command(&[&["--", "temper"], words].concat());
        command.envs([("TEMPER_COMPLETE", "bash"), ("_CLAP_IFS", "\n"), ("_CLAP_COMPLETE_INDEX", &words.len().to_string())]);
        let output = command.output().expect("started");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["ge"]), ["generate", "get"]);
    assert_eq!(complete(&["run", "--compare-p"]), ["--compare-prompts"]);
    assert_eq!(complete(&["logs", "x", "--stage", "p"]), ["prepare", "publish"]);
    // Without a cluster there are no names, and no complaint.
    assert_eq!(complete(&["get", "m"]), ["mv"]);
}

#[test]
fn version_names_both_programs() {
    let setting = Setting::new();
    setting.temper(&["version"]).ended_with(0).says("(temper.dev/v1alpha1)").says("temper-trainer 9.9.9");
    std::fs::remove_file(setting.path("trainer/temper-trainer")).expect("removed");
    setting.temper(&["version", "-o", "json"]).ended_with(2).says("TEMPER_TRAINER").says("is not an executable file");
}

#[test]
fn validate_lists_all_problems_with_lines() {
    let setting = Setting::new();
    setting.edit("format: messages", "format: chat");
    setting.edit("maxSteps: 4", "maxstep: 4");
    let ran = setting.temper(&["validate", "-f", "job.yaml", "-f", "missing.yaml"]).ended_with(3);
    insta::assert_snapshot!("validate_problems", ran.stdout);
    let json: serde_json::Value =
        serde_json::from_str(&setting.temper(&["validate", "-f", "job.yaml", "-o", "json"]).ended_with(3).stdout).expect("JSON");
    assert_eq!((&json["valid"], json["problems"].as_array().map(Vec::len)), (&false.into(), Some(2)));
    setting.run(&[]).ended_with(3).says("error: 2 problems in the manifests").says("job.yaml:9");
}

#[test]
fn validate_without_volumes_says_what_it_did_not_check() {
    let setting = Setting::new();
    let ran = setting.temper(&["validate", "-f", "job.yaml"]).ended_with(0);
    insta::assert_snapshot!("validate_without_volumes", ran.stdout);
    setting.temper(&["run", "-f", "job.yaml"]).ended_with(3).says("add --volume models=FOLDER").says("add --volume data=FOLDER");
}

#[test]
fn validate_for_a_cluster_needs_nothing_but_the_manifest() {
    let setting = Setting::new();
    setting.edit("numProcPerNode: 2", "numNodes: 2\n    numProcPerNode: 2\n    resourcesPerNode: {limits: {nvidia.com/gpu: 2}}");
    let on_a_cluster = ["validate", "--cluster", "-f", "job.yaml"];
    setting.temper(&["validate", "-f", "job.yaml"]).ended_with(3).says("not checked: listings: for a cluster").says("add --cluster");
    let ran = setting.temper(&on_a_cluster).ended_with(0).says("listings is valid").says("temper plan --cluster asks the cluster");
    assert!(!ran.stdout.contains("--volume"), "{}", ran.stdout);
    let help = setting.temper(&["validate", "--help"]).ended_with(0);
    help.says("temper validate --cluster -f job.yaml").says("Without --cluster this machine's limits apply");

    // What a cluster cannot run is found by the same rules as the operator's, with its line.
    setting.edit("pvc://models/base.gguf", "file:///models/base.gguf");
    setting.edit("nvidia.com/gpu: 2", "nvidia.com/gpu: 3");
    let ran = setting.temper(&on_a_cluster).ended_with(3).says("a pod cannot see this machine's files");
    let ran = ran.says("must equal numProcPerNode");
    assert!(ran.stdout.contains("job.yaml:6") && !ran.stdout.contains("not checked"), "{}", ran.stdout);
    let on_this_machine = setting.temper(&["validate", "-f", "job.yaml"]).ended_with(3);
    assert!(!on_this_machine.stdout.contains("add --cluster"), "it would not help: {}", on_this_machine.stdout);
    setting.temper(&["validate", "--cluster", "-f", "job.yaml", "--volume", "models=models"]).ended_with(2).says("--volume");
}

#[test]
fn validate_and_plan_look_at_the_model() {
    let setting = Setting::new();
    let on = |command| setting.temper(&[command, "-f", "job.yaml", "--volume", "models=models", "--volume", "data=data"]);
    on("validate").ended_with(3).says("spec.baseModel.storageUri").says("base.gguf");
    on("plan").ended_with(3).says("spec.baseModel.storageUri");
    setting.with_a_model();
    on("validate").ended_with(0).says("listings is valid");
    // What bf16 takes depends on the processor.
    setting.edit("maxSteps: 4", "precision: fp32, maxSteps: 4");
    insta::assert_snapshot!("plan", on("plan").ended_with(0).stdout);
    setting.edit("all-linear", "q_prjo");
    on("validate").ended_with(3).says("spec.method.lora.targetModules").says("q_prjo").says("q_proj");
}

#[test]
fn validate_and_plan_refuse_training_that_cannot_fit_its_memory() {
    let setting = Setting::new();
    setting.with_a_model();
    setting.edit("numProcPerNode: 2", "numProcPerNode: 2\n    resourcesPerNode: {limits: {memory: 128Mi}}");
    let on = |command| setting.temper(&[command, "-f", "job.yaml", "--volume", "models=models", "--volume", "data=data"]);
    for command in ["validate", "plan"] {
        let ran = on(command).ended_with(3).says("spec.trainer.resourcesPerNode.limits[memory]");
        ran.says("128Mi: training is estimated to take").says("or ask for more memory");
    }
    setting.edit("128Mi", "1Gi");
    on("validate").ended_with(0);
    on("plan").ended_with(0);
}

#[test]
fn what_only_a_cluster_heeds_is_named() {
    let setting = Setting::new();
    setting.with_a_model();
    setting.edit(
        "  name: listings\nspec:\n",
        "  name: listings\n  labels: {kueue.x-k8s.io/queue-name: team}\nspec:\n  ttlSecondsAfterFinished: 60\n",
    );
    setting.edit(
        "numProcPerNode: 2",
        "numProcPerNode: 2\n    nodeSelector: {pool: a}\n    resourcesPerNode:\n      limits: {cpu: 2, memory: 1Gi, ephemeral-storage: 1Gi}\n      \
         requests: {memory: 512Mi}",
    );
    let note = "only a cluster heeds spec.trainer.nodeSelector, spec.trainer.resourcesPerNode.limits[ephemeral-storage], \
                spec.trainer.resourcesPerNode.requests[memory], spec.ttlSecondsAfterFinished, metadata.labels[kueue.x-k8s.io/queue-name]: \
                no effect on this machine";
    let on = |command| setting.temper(&[command, "-f", "job.yaml", "--volume", "models=models", "--volume", "data=data"]).ended_with(0);
    on("validate").says(&format!("not checked: {note}"));
    on("plan").says(&format!("note: {note}"));
    on("run").says(&format!("note: {note}"));
}

#[test]
fn gpus_are_refused_without_a_word_about_this_machine() {
    let setting = Setting::new();
    setting.edit("numProcPerNode: 2", "numProcPerNode: 2\n    resourcesPerNode: {limits: {nvidia.com/gpu: 2}}");
    for command in ["validate", "plan", "run"] {
        let ran = setting.temper(&[command, "-f", "job.yaml", "--volume", "models=models", "--volume", "data=data"]).ended_with(3);
        let ran = ran.says("2: training on the GPUs of one machine is not supported yet").says("or give the job to a cluster");
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("no GPU"), "{}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn a_folder_for_temporary_files_that_cannot_be_used_says_what_to_do() {
    let setting = Setting::new();
    let mut command = setting.command(&["generate", "--model", "models/base.gguf", "--prompt", "One"]);
    let output = command.env("TMPDIR", setting.path("prompts.jsonl")).output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("cannot make a temporary folder") && said.contains("or set TMPDIR to another folder"), "{said}");
}

#[test]
fn plan_knows_the_state_of_the_run() {
    let setting = Setting::new();
    setting.with_a_model();
    let plan = |more: &[&str]| {
        setting.temper(&[&["plan", "-f", "job.yaml", "--volume", "models=models", "--volume", "data=data"], more].concat()).ended_with(0)
    };
    plan(&[]).says("would start from the beginning").says("version 1 of listings");
    setting.misbehave("interrupt-in-train", "");
    setting.run(&[]).ended_with(130);
    plan(&[]).says("would continue at step 3").says("1,800 rows trained on");
    setting.misbehave("fail-train", "13\n13\n13\n");
    setting.run(&[]).ended_with(4);
    let failed = plan(&["-o", "json"]).says("failed (RestartsExhausted)").stdout;
    let failed: Value = serde_json::from_str(&failed).expect("JSON");
    let stages: Vec<_> = failed["stages"].as_array().expect("a list").iter().map(|stage| &stage["state"]).collect();
    assert_eq!(stages, ["done", "next", "later", "later"], "what is done is not done again");
    setting.run(&[]).ended_with(0);
    plan(&["-o", "yaml"]).says("situation: \"complete: nothing to do\"");
}

#[test]
fn generate_answers_from_a_registered_version() {
    let setting = Setting::new();
    setting.run(&[]).ended_with(0);
    let ran = setting.temper(&["generate", "--model", "registry:listings", "--prompt", "One", "--prompts", "prompts.jsonl"]).ended_with(0);
    insta::assert_snapshot!("generate", ran.stdout);
    let one = setting.temper(&["generate", "--model", "models/base.gguf", "--prompt", "One"]).ended_with(0);
    assert_eq!(one.stdout, "Sure, here is one.\n");
    setting.temper(&["generate", "--model", "registry:listings/1", "--prompt", "One", "-o", "json"]).ended_with(0).says("\"tokenIds\": [");
    setting.temper(&["generate", "--model", "registry:listings/2", "--prompt", "One"]).ended_with(3).says("its versions are 1");
    setting.temper(&["generate", "--model", "nowhere.gguf", "--prompt", "One"]).ended_with(3).says("nowhere.gguf");
}

#[test]
fn what_the_flags_ask_of_a_model_reaches_the_trainer() {
    let setting = Setting::new();
    std::fs::create_dir(setting.path("adapter")).expect("made");
    let asked = |command: &str, flags: &str| -> Value {
        let words: Vec<&str> = [command, "--model", "models/base.gguf"].into_iter().chain(flags.split(' ')).collect();
        setting.temper(&words).ended_with(0);
        let text = std::fs::read_to_string(setting.path(&format!("trainer/request-{command}"))).expect("a request");
        serde_json::from_str(&text).expect("JSON")
    };
    let user = json!({"role": "user", "content": "One"});

    let plain = asked("generate", "--prompt One");
    assert_eq!(plain["sampling"], json!({"temperature": 0.0, "seed": 0}), "the likeliest token each time");
    assert_eq!((&plain["prompts"], &plain["adapter"]), (&json!([{"messages": [user]}]), &Value::Null));
    let drawn = asked("generate", "--prompt One --system Briefly --temperature 0.7 --top-k 40 --top-p 0.9 --seed 11 --max-new-tokens 5");
    assert_eq!(drawn["sampling"], json!({"temperature": 0.7, "topK": 40, "topP": 0.9, "seed": 11}));
    assert_eq!(drawn["prompts"], json!([{"messages": [{"role": "system", "content": "Briefly"}, user]}]));
    assert_eq!(drawn["maxNewTokens"], 5);
    assert_eq!(asked("generate", "--prompt One --raw")["prompts"], json!([{"text": "One"}]));

    let on = " --adapter adapter --precision bf16 --threads 3";
    let evaluate = "--data data/rows.jsonl --format alpaca --max-length 64 --batch-size 3";
    for (command, flags) in [("generate", "--prompt One"), ("evaluate", evaluate)] {
        let request = asked(command, &format!("{flags}{on}"));
        assert_eq!(request["compute"], json!({"precision": "bf16", "device": "cpu", "threads": 3}), "{command}");
        let at = |field: &str| std::path::PathBuf::from(request[field].as_str().expect("a path"));
        assert!(at("model").ends_with("models/base.gguf") && at("adapter").ends_with("adapter"), "{request}");
        if command == "evaluate" {
            assert_eq!((&request["format"], &request["maxLength"], &request["batchSize"]), (&json!("alpaca"), &json!(64), &json!(3)));
        }
    }
}

#[test]
fn the_base_model_of_a_registered_adapter_may_have_moved() {
    let setting = Setting::new();
    setting.run(&[]).ended_with(0);
    std::fs::rename(setting.path("models/base.gguf"), setting.path("data/base.gguf")).expect("moved");
    let generate = ["generate", "--model", "registry:listings", "--prompt", "One"];
    setting.temper(&generate).ended_with(3).says("--base-model");
    setting.temper(&[&generate[..], &["--base-model", "data/base.gguf"]].concat()).ended_with(0);
}

#[test]
fn evaluate_shows_loss_and_perplexity() {
    let setting = Setting::new();
    let evaluate = ["evaluate", "--model", "models/base.gguf", "--data", "data/rows.jsonl"];
    insta::assert_snapshot!("evaluate", setting.temper(&evaluate).ended_with(0).stdout);
    setting.temper(&[&evaluate[..], &["-o", "json"]].concat()).ended_with(0).says("\"loss\": 0.5");
    setting.misbehave("fail-evaluate", "10\n");
    setting.temper(&evaluate).ended_with(3).says("temper-trainer evaluate: made to fail").says("next: look at the test");
    setting.temper(&["evaluate", "--model", "models/base.gguf", "--data", "none.jsonl"]).ended_with(3).says("--data");
}
