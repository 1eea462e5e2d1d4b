//! Every pod that is built is one that a careful cluster lets in.

use crate::example;
use temper_objects::Settings;
use temper_policy::hardening::{self, ApiAccess};
use temper_policy::pod_security;

#[test]
fn every_pod_passes_the_restricted_level_and_our_own_rules() {
    for (name, example) in example::all() {
        let templates = example.pod_templates();
        assert_eq!(templates.len(), 6, "two tries at three stages");
        for template in templates {
            assert_eq!(pod_security::violations(&template), [""; 0], "{name}: {template:#}");
            assert_eq!(hardening::violations(&template, ApiAccess::None), [""; 0], "{name}: {template:#}");
        }
    }
}

#[test]
fn where_the_platform_assigns_users_pods_name_none_and_pass_all_the_same() {
    let settings = Settings { pods_without_user: true, ..example::settings() };
    for (name, example) in example::all() {
        for (template, usual) in example.pod_templates_with(&settings).into_iter().zip(example.pod_templates()) {
            let context = &template["spec"]["securityContext"];
            for field in ["runAsUser", "runAsGroup", "fsGroup"] {
                assert!(context[field].is_null(), "{name}: {field} of {context}");
                assert_eq!(usual["spec"]["securityContext"][field], 65532, "{name}: {field}");
            }
            assert_eq!(context["runAsNonRoot"], true, "{name}");
            assert_eq!(pod_security::violations(&template), [""; 0], "{name}: {template:#}");
            assert_eq!(hardening::violations(&template, ApiAccess::None), [""; 0], "{name}: {template:#}");
        }
    }
}

#[test]
fn secrets_are_files_that_their_group_reads_and_that_may_be_missing() {
    let templates = example::remote().pod_templates();
    let secrets = |template: &serde_json::Value| -> Vec<String> {
        let volumes = template["spec"]["volumes"].as_array().expect("volumes");
        let secrets = volumes.iter().map(|volume| &volume["secret"]).filter(|secret| !secret.is_null());
        let checked = secrets.inspect(|secret| assert!(secret["optional"] == true && secret["defaultMode"] == 0o440, "{secret}"));
        checked.map(|secret| secret["secretName"].as_str().expect("a name").to_owned()).collect()
    };
    // Each stage gets those that it uses; the first one gets all, to say what is missing.
    assert_eq!(secrets(&templates[0]), ["az-key", "gs-key", "hf-token", "s3-key"]);
    assert_eq!(secrets(&templates[1]), ["az-key"]);
    assert_eq!(secrets(&templates[2]), ["az-key", "s3-key"]);
}
