//! `spec.dataset.filters`.

use super::findings::Findings;
use temper_contract::config;
use temper_crds::finetunejob::filters::Filters;

pub(super) fn resolve(filters: &Filters, findings: &mut Findings) -> config::Filters {
    findings.whole_if(filters.min_length, 0..=1_000_000_000, "spec.dataset.filters.minLength");
    findings.whole_if(filters.max_length, 1..=1_000_000_000, "spec.dataset.filters.maxLength");
    if let (Some(least), Some(most)) = (filters.min_length, filters.max_length)
        && least > most
    {
        findings.wrong(
            "spec.dataset.filters.minLength",
            least,
            format!("is greater than maxLength ({most})"),
            "lower it or raise maxLength",
        );
    }
    findings.not_supported_if(filters.near_deduplication.as_ref(), "spec.dataset.filters.nearDeduplication", |near| {
        format!("threshold {}", near.threshold)
    });
    findings.not_supported_if(filters.repetition.as_ref(), "spec.dataset.filters.repetition", |repetition| {
        format!("maxFraction {}", repetition.max_fraction)
    });
    findings.pattern(filters.include_pattern.as_ref(), "spec.dataset.filters.includePattern");
    findings.pattern(filters.exclude_pattern.as_ref(), "spec.dataset.filters.excludePattern");
    let path = "spec.dataset.filters.maxRejectedFraction";
    config::Filters {
        min_length: filters.min_length.map(u64::from),
        max_length: filters.max_length.map(u64::from),
        exact_deduplication: filters.exact_deduplication,
        include_pattern: filters.include_pattern.clone(),
        exclude_pattern: filters.exclude_pattern.clone(),
        max_rejected_fraction: findings
            .decimal(&filters.max_rejected_fraction, path, "from 0 to 1", |number| (0.0..=1.0).contains(&number)),
    }
}
