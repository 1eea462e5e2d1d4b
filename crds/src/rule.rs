//! CEL rules (`x-kubernetes-validations`) that more than one field needs.

use kube::core::Rule;

/// A rule with the sentence that a user reads when it is broken.
pub(crate) fn rule(expression: impl Into<String>, message: &str) -> Rule {
    Rule::new(expression).message(message)
}

/// A field that is always there (required or defaulted) and never changes.
pub(crate) fn immutable(field: &str) -> Rule {
    rule(format!("self.{field} == oldSelf.{field}"), &immutable_message(field)).field_path(format!(".{field}"))
}

/// A field that may be absent and never comes, goes or changes.
pub(crate) fn immutable_optional(field: &str) -> Rule {
    rule(
        format!("has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"),
        &immutable_message(field),
    )
    .field_path(format!(".{field}"))
}

fn immutable_message(field: &str) -> String {
    format!("{field} cannot be changed: create a new resource with another name to change it")
}

/// A decimal between two bounds, both of them allowed.
pub(crate) fn between(least: &str, most: &str) -> Rule {
    rule(format!("double(self) >= {least} && double(self) <= {most}"), &format!("must be a number from {least} to {most}"))
}

/// A decimal above zero and at most a bound.
pub(crate) fn positive(most: &str) -> Rule {
    rule(format!("double(self) > 0.0 && double(self) <= {most}"), &format!("must be a number above 0 and at most {most}"))
}

/// A decimal from 0 up to but not including 1.
pub(crate) fn fraction_below_one() -> Rule {
    rule("double(self) >= 0.0 && double(self) < 1.0", "must be a number from 0 up to, but not including, 1")
}
