//! `spec.method`.

use super::findings::Findings;
use temper_contract::config;
use temper_crds::finetunejob::method::{ALL_LINEAR, Lora, Method, MethodType};

pub(super) fn resolve(method: &Method, findings: &mut Findings) -> config::Method {
    match (method.type_, &method.lora) {
        (MethodType::Lora, Some(settings)) => config::Method::Lora(lora(settings, findings)),
        (MethodType::Full, None) => config::Method::Full,
        (MethodType::Lora, None) => {
            findings.wrong(
                "spec.method.lora",
                "",
                "is missing though type is lora",
                "add lora: {r: 16, loraAlpha: 32}, or lora: {} for every default",
            );
            config::Method::Full
        }
        (MethodType::Full, Some(_)) => {
            findings.wrong("spec.method.lora", "", "is there though type is full", "remove it, or set type: lora");
            config::Method::Full
        }
    }
}

fn lora(lora: &Lora, findings: &mut Findings) -> config::Lora {
    const MODULES: &str = "spec.method.lora.targetModules";
    findings.whole(lora.r, 1..=1024, "spec.method.lora.r");
    findings.whole(lora.lora_alpha, 1..=65_536, "spec.method.lora.loraAlpha");
    if lora.target_modules.is_empty() || lora.target_modules.len() > 64 {
        findings.wrong(
            MODULES,
            lora.target_modules.len(),
            "must name 1 to 64 modules",
            format!("write [{ALL_LINEAR}] or names such as q_proj"),
        );
    }
    for (index, module) in lora.target_modules.iter().enumerate() {
        let path = format!("{MODULES}[{index}]");
        if module.trim().is_empty() || module.len() > 256 {
            findings.wrong(&path, module, "must have 1 to 256 characters", "write a module's name, such as q_proj");
        } else if lora.target_modules[..index].contains(module) {
            findings.wrong(&path, module, "is there twice", "remove one of them");
        }
    }
    if lora.target_modules.len() > 1 && lora.target_modules.iter().any(|module| module == ALL_LINEAR) {
        findings.wrong(
            MODULES,
            lora.target_modules.join(", "),
            format!("{ALL_LINEAR} stands for every name"),
            "keep it or the names, not both",
        );
    }
    config::Lora {
        r: lora.r as usize,
        lora_alpha: lora.lora_alpha.into(),
        lora_dropout: findings.decimal(
            &lora.lora_dropout,
            "spec.method.lora.loraDropout",
            "from 0 up to, but not including, 1",
            |number| (0.0..1.0).contains(&number),
        ),
        target_modules: lora.target_modules.clone(),
        use_rslora: lora.use_rslora,
    }
}
