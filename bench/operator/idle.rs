//! A controller whose jobs have no news: what it asks for all the same.

use crate::controller::Controller;
use crate::requests::{self, Tally};
use crate::usage::Usage;
use anyhow::Result;
use serde::Serialize;
use std::time::Duration;

/// What an idle time took.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Idle {
    /// How long.
    pub(crate) seconds: f64,
    /// CPU time, in milliseconds.
    pub(crate) cpu_milliseconds: f64,
    /// What was asked for.
    pub(crate) requests: Tally,
}

/// Watches a controller for so long.
pub(crate) async fn measure(controller: &Controller, user: &str, time: Duration) -> Result<Idle> {
    let asked_before = requests::by(user).len();
    let before = Usage::of(controller.id())?;
    tokio::time::sleep(time).await;
    let after = Usage::of(controller.id())?;
    let asked = requests::by(user);
    Ok(Idle {
        seconds: time.as_secs_f64(),
        cpu_milliseconds: (after.cpu - before.cpu).as_secs_f64() * 1e3,
        requests: Tally::of(&asked[asked_before..]),
    })
}
