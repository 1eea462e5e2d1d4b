//! Which linear layers get an adapter: PEFT's rules for `target_modules`.

use crate::{Error, LinearModule, ModelConfig};

/// PEFT's shorthand for every linear layer but the output projection.
pub(crate) const ALL_LINEAR: &str = "all-linear";
/// The last parts of the names of the modules that it selects.
pub(crate) const LINEAR_NAMES: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// The linear modules that the names select, in model order. A name selects the module of that name and those whose name ends with `.`
/// and it; `all-linear` stands alone. Unlike PEFT, which is content when any of the names matches, each must.
pub fn match_target_modules(config: &ModelConfig, targets: &[String]) -> Result<Vec<LinearModule>, Error> {
    let modules = config.linear_modules();
    if let [one] = targets
        && one.eq_ignore_ascii_case(ALL_LINEAR)
    {
        return Ok(modules);
    }
    let error = |value: &str, reason: String| Error::TargetModules { value: value.to_owned(), reason };
    let names = || LINEAR_NAMES.join(", ");
    if targets.is_empty() {
        return Err(error("[]", format!("selects nothing; name one or more of {}, or {ALL_LINEAR}", names())));
    }
    let selects = |target: &str, name: &str| name == target || name.strip_suffix(target).is_some_and(|rest| rest.ends_with('.'));
    for target in targets {
        if target.eq_ignore_ascii_case(ALL_LINEAR) {
            return Err(error(target, "must stand alone, since it selects every linear module".to_owned()));
        }
        if matches!(target.as_str(), "lm_head" | "embed_tokens" | "model.embed_tokens") {
            return Err(error(
                target,
                format!("is not supported yet: adapters go on linear modules of the decoder; those are {}", names()),
            ));
        }
        if target.is_empty() || !modules.iter().any(|module| selects(target, &module.name)) {
            return Err(error(target, format!("is not a linear module of this model; those are {} (or {ALL_LINEAR})", names())));
        }
    }
    Ok(modules.into_iter().filter(|module| targets.iter().any(|target| selects(target, &module.name))).collect())
}
