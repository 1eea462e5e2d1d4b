//! Who this rank is: PyTorch's variables and the supervisor's.

use crate::failure::{Failure, Result};
use std::str::FromStr;
use temper_contract::env;

/// This process among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    /// Number among all ranks.
    pub(crate) rank: usize,
    /// Number on this node.
    pub(crate) local_rank: usize,
    /// Number of ranks.
    pub(crate) world_size: usize,
    /// Host of the store.
    pub(crate) master_address: String,
    /// Port of the store; 0 with one rank.
    pub(crate) master_port: u16,
    /// Number of this attempt.
    pub(crate) attempt: u64,
    /// Number of in-place restarts in this attempt.
    pub(crate) generation: u64,
    /// Port of this rank's metrics, if any.
    pub(crate) metrics_port: Option<u16>,
}

impl Environment {
    /// Reads the process's environment. A process without any of it is one rank alone.
    pub(crate) fn read() -> Result<Self> {
        Self::from(|name| std::env::var(name).ok())
    }

    fn from(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let rank = number(&variable, env::RANK, 0)?;
        let world_size: usize = number(&variable, env::WORLD_SIZE, 1)?;
        if rank >= world_size {
            return Err(invalid(env::RANK, &rank.to_string(), &format!("it must be below {}={world_size}", env::WORLD_SIZE)));
        }
        let metrics_port: u16 = number(&variable, env::METRICS_PORT, 0)?;
        let metrics_port = match metrics_port {
            0 => None,
            first => {
                let port = usize::from(first) + rank;
                let port =
                    u16::try_from(port).map_err(|_| invalid(env::METRICS_PORT, &first.to_string(), "no port is left for this rank"))?;
                Some(port)
            }
        };
        Ok(Self {
            rank,
            local_rank: number(&variable, env::LOCAL_RANK, rank)?,
            world_size,
            master_address: variable(env::MASTER_ADDR).unwrap_or_else(|| "127.0.0.1".to_owned()),
            master_port: number(&variable, env::MASTER_PORT, 0)?,
            attempt: number(&variable, env::ATTEMPT, 0)?,
            generation: number(&variable, env::GENERATION, 0)?,
            metrics_port,
        })
    }
}

/// A variable's value as a number, or what stands for an unset one.
pub(crate) fn number<T: FromStr>(variable: impl Fn(&str) -> Option<String>, name: &str, unset: T) -> Result<T> {
    match variable(name) {
        None => Ok(unset),
        Some(text) => text.trim().parse().map_err(|_| invalid(name, &text, "it is not a number in the expected range")),
    }
}

fn invalid(name: &str, value: &str, reason: &str) -> Failure {
    Failure::invalid(format!("environment variable {name}={value}: {reason}"), "correct the variable, or unset it for the default")
}

#[cfg(test)]
mod tests {
    use super::Environment;

    fn read(pairs: &[(&str, &str)]) -> Result<Environment, crate::failure::Failure> {
        Environment::from(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_set_is_one_rank_alone() {
        let environment = read(&[]).expect("defaults");
        assert_eq!((environment.rank, environment.world_size, environment.metrics_port), (0, 1, None));
    }

    #[test]
    fn the_variables_that_pytorch_knows_say_who_a_rank_is() {
        let pairs = [("RANK", "3"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "4"), ("MASTER_ADDR", "job-0.job"), ("MASTER_PORT", "29500")];
        let expected = Environment {
            rank: 3,
            local_rank: 1,
            world_size: 4,
            master_address: "job-0.job".to_owned(),
            master_port: 29_500,
            attempt: 0,
            generation: 0,
            metrics_port: None,
        };
        assert_eq!(read(&pairs).expect("valid"), expected);
        let all_but_local_rank = [&pairs[..1], &pairs[2..]].concat();
        assert_eq!(read(&all_but_local_rank).expect("valid").local_rank, 3, "all ranks are taken to be on one node");
    }

    #[test]
    fn each_rank_has_a_metrics_port() {
        let environment = read(&[("RANK", "2"), ("WORLD_SIZE", "4"), ("TEMPER_METRICS_PORT", "9400")]).expect("valid");
        assert_eq!(environment.metrics_port, Some(9402));
    }

    #[test]
    fn nonsense_is_named() {
        for (pairs, name) in [
            (&[("RANK", "2"), ("WORLD_SIZE", "2")][..], "RANK"),
            (&[("WORLD_SIZE", "two")], "WORLD_SIZE"),
            (&[("MASTER_PORT", "70000")], "MASTER_PORT"),
            (&[("RANK", "9"), ("WORLD_SIZE", "10"), ("TEMPER_METRICS_PORT", "65530")], "TEMPER_METRICS_PORT"),
        ] {
            let failure = read(pairs).expect_err(name);
            assert!(failure.message.contains(name), "{failure}");
        }
    }
}
