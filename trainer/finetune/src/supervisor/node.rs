//! This node among the others: who it is, and how it reaches them.

use super::link::Link;
use crate::durable::create_folder;
use crate::failure::{Failure, Result};
use crate::rank::number;
use std::path::{Path, PathBuf};
use std::time::Duration;
use temper_c10d::Store;
use temper_contract::{TrainerConfig, env, layout};

/// What the supervisor knows for its whole life.
pub(super) struct Node {
    pub(super) config: TrainerConfig,
    pub(super) config_path: PathBuf,
    pub(super) executable: PathBuf,
    pub(super) log_folder: PathBuf,
    pub(super) node_rank: usize,
    pub(super) attempt: u64,
    pub(super) master_address: String,
    pub(super) master_port: u16,
    /// To the other nodes' supervisors, if there are any.
    pub(super) link: Option<Link>,
    /// Node 0's, which lives as long as this.
    _store: Option<Store>,
}

impl Node {
    /// Reads the environment; hosts the store on node 0, begins to reach for it elsewhere.
    pub(super) fn join(config: &TrainerConfig, config_path: &Path, node_rank: usize) -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        let num_nodes = config.parallelism.num_nodes;
        let port: u16 = number(variable, env::MASTER_PORT, 0)?;
        if num_nodes > 1 && port == 0 {
            return Err(Failure::invalid(
                format!("environment variable {} is not set, and {num_nodes} nodes need it to meet", env::MASTER_PORT),
                "set MASTER_ADDR to node 0's address and MASTER_PORT to a free port on it, on every node",
            ));
        }
        let master_address = variable(env::MASTER_ADDR).unwrap_or_else(|| "127.0.0.1".to_owned());
        let (store, link) = match (node_rank, num_nodes) {
            (0, 1) => (Some(host(port, config)?), None),
            (0, _) => {
                let store = host(port, config)?;
                // A connection of its own: ranks and supervisors must not wait for each other.
                let link = Link::of_first(store.reconnect(Duration::from_secs(config.failure.rendezvous_timeout_seconds))?, num_nodes)?;
                (Some(store), Some(link))
            }
            _ => (None, Some(Link::to_first(node_rank, num_nodes, master_address.clone(), port)?)),
        };
        let executable =
            std::env::current_exe().map_err(|error| Failure::unexpected(format!("failed to find this executable: {error}")))?;
        let log_folder = config.run_folder.join(layout::LOGS);
        create_folder(&log_folder)?;
        Ok(Self {
            config: config.clone(),
            config_path: config_path.to_owned(),
            executable,
            log_folder,
            node_rank,
            attempt: number(variable, env::ATTEMPT, 0)?,
            // On one node the ranks reach the store by loopback, whatever MASTER_ADDR resolves to.
            master_address: if num_nodes == 1 { "127.0.0.1".to_owned() } else { master_address },
            master_port: store.as_ref().map_or(port, Store::port),
            link,
            _store: store,
        })
    }

    /// Whether this is the node whose supervisor hosts the store.
    pub(super) fn is_first(&self) -> bool {
        self.node_rank == 0
    }

    /// The global number of this node's first rank.
    pub(super) fn first_rank(&self) -> usize {
        self.node_rank * self.config.parallelism.num_proc_per_node
    }
}

/// This node's number, as the environment says.
pub(super) fn rank(config: &TrainerConfig) -> Result<usize> {
    let (rank, num_nodes) = (number(|name: &str| std::env::var(name).ok(), env::NODE_RANK, 0)?, config.parallelism.num_nodes);
    if rank < num_nodes {
        return Ok(rank);
    }
    Err(Failure::invalid(
        format!("environment variable {}={rank}: it must be below trainer.numNodes={num_nodes}", env::NODE_RANK),
        "number the nodes from 0",
    ))
}

fn host(port: u16, config: &TrainerConfig) -> Result<Store> {
    Ok(Store::host(port, Duration::from_secs(config.failure.rendezvous_timeout_seconds))?)
}
