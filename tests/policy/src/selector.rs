//! Label selectors.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use std::collections::BTreeMap;

/// Whether a selector takes these labels. An empty one takes all.
pub(crate) fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let has = |(name, value): (&String, &String)| labels.get(name) == Some(value);
    selector.match_labels.iter().flatten().all(has)
        && selector.match_expressions.iter().flatten().all(|requirement| is_met(requirement, labels))
}

fn is_met(requirement: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&requirement.key);
    let is_listed = value.is_some_and(|value| requirement.values.iter().flatten().any(|listed| listed == value));
    match requirement.operator.as_str() {
        "In" => is_listed,
        "NotIn" => !is_listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        operator => panic!("{operator} is no operator of a label selector"),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
    use serde_json::{Value, json};

    fn selects(selector: Value, labels: Value) -> bool {
        let selector: LabelSelector = serde_json::from_value(selector).expect("a selector");
        matches(&selector, &serde_json::from_value(labels).expect("labels"))
    }

    #[test]
    fn every_requirement_must_be_met() {
        let expression = |operator: &str, values: &[&str]| {
            let mut requirement = json!({ "key": "a", "operator": operator });
            if !values.is_empty() {
                requirement["values"] = json!(values);
            }
            json!({ "matchExpressions": [requirement] })
        };
        let table = [
            (json!({}), json!({}), true),
            (json!({ "matchLabels": { "a": "1" } }), json!({ "a": "1", "b": "2" }), true),
            (json!({ "matchLabels": { "a": "1", "b": "3" } }), json!({ "a": "1", "b": "2" }), false),
            (expression("In", &["1", "2"]), json!({ "a": "2" }), true),
            (expression("In", &["1", "2"]), json!({ "a": "3" }), false),
            (expression("In", &["1"]), json!({}), false),
            (expression("NotIn", &["1"]), json!({ "a": "1" }), false),
            (expression("NotIn", &["1"]), json!({}), true),
            (expression("Exists", &[]), json!({ "a": "" }), true),
            (expression("Exists", &[]), json!({ "b": "" }), false),
            (expression("DoesNotExist", &[]), json!({ "a": "" }), false),
            (expression("DoesNotExist", &[]), json!({ "b": "" }), true),
        ];
        for (selector, labels, wanted) in table {
            assert_eq!(selects(selector.clone(), labels.clone()), wanted, "{selector} on {labels}");
        }
    }
}
