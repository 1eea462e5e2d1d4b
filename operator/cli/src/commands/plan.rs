//! `temper plan`.

use crate::arguments::PlanArgs;
use crate::arguments::cluster::AccessArgs;
use crate::cluster::preview;
use crate::exit::{Exit, Stop};
use crate::forecast::Forecast;
use crate::local::home::Home;
use crate::local::inputs::Digests;
use crate::local::job::{self, LocalJob};
use crate::local::volumes::Volumes;
use crate::manifests;
use crate::output::aside;
use crate::output::forecast_text;
use crate::output::format;
use crate::output::terminal::Terminal;
use anyhow::Result;

/// Shows what `temper run` would do, or what the operator would.
pub fn run(arguments: &PlanArgs, terminal: Terminal) -> Result<Exit> {
    if arguments.cluster {
        return preview::run(arguments, terminal);
    }
    if arguments.access != AccessArgs::default() {
        return Err(Stop::usage(
            "--kubeconfig, --context and --namespace say which cluster: this is a plan for this machine",
            "add --cluster",
        )
        .into());
    }
    let manifests = manifests::read(&arguments.manifests.filename).map_err(|findings| manifests::refused(&findings))?;
    let volumes = Volumes::new(&arguments.manifests.volume, &arguments.manifests.secret);
    let home = Home::find(arguments.place.home.as_deref())?;
    let mut digests = Digests::open(home.digests());
    let mut forecasts = Vec::new();
    let mut findings = Vec::new();
    for manifest in &manifests {
        let forecast = match job::check(&manifest.job, &volumes) {
            Ok((validated, sources)) => {
                job::without_effect(&validated).into_iter().for_each(|note| aside::say(format_args!("note: {note}")));
                let job = LocalJob::new(&manifest.job, validated, sources, &home, &mut digests)?;
                Forecast::of(&job, &home)?
            }
            Err(problems) => Err(problems),
        };
        match forecast {
            Ok(forecast) => forecasts.push(forecast),
            Err(problems) => findings.extend(manifest.locate(problems)),
        }
    }
    digests.save()?;
    if !findings.is_empty() {
        return Err(manifests::refused(&findings).into());
    }
    let machine = match forecasts.as_slice() {
        [one] => format::machine_text(arguments.output.output, one)?,
        several => format::machine_text(arguments.output.output, &several)?,
    };
    let text = machine.unwrap_or_else(|| forecasts.iter().map(|forecast| forecast_text::text(forecast, terminal)).collect());
    format::print(&text)?;
    Ok(Exit::Success)
}
