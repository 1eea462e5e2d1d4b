//! This node among the others: who it is, and the store by which supervisors agree.

use super::verdict::Verdict;
use crate::durable::create_folder;
use crate::failure::{Failure, Result};
use crate::rank::number;
use crate::stop_signal::StopSignal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use temper_c10d::Store;
use temper_contract::{ExitCode, TrainerConfig, env, layout};

/// Time between looks at the store.
pub(super) const POLL: Duration = Duration::from_millis(100);

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
    store: Store,
}

impl Node {
    /// Reads the environment; hosts the store on node 0, connects to it elsewhere.
    pub(super) fn join(config: &TrainerConfig, config_path: &Path) -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        let num_nodes = config.parallelism.num_nodes;
        let node_rank = number(variable, env::NODE_RANK, 0)?;
        if node_rank >= num_nodes {
            return Err(Failure::invalid(
                format!("environment variable {}={node_rank}: it must be below trainer.numNodes={num_nodes}", env::NODE_RANK),
                "number the nodes from 0",
            ));
        }
        let port: u16 = number(variable, env::MASTER_PORT, 0)?;
        if num_nodes > 1 && port == 0 {
            return Err(Failure::invalid(
                format!("environment variable {} is not set, and {num_nodes} nodes need it to meet", env::MASTER_PORT),
                "set MASTER_ADDR to node 0's address and MASTER_PORT to a free port on it, on every node",
            ));
        }
        let master_address = variable(env::MASTER_ADDR).unwrap_or_else(|| "127.0.0.1".to_owned());
        let patience = Duration::from_secs(config.failure.rendezvous_timeout_seconds);
        let store = if node_rank == 0 { Store::host(port, patience)? } else { connect(&master_address, port, patience)? };
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
            master_port: store.port(),
            store,
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

    /// Proposes how a generation ends; returns the verdict that was first among all nodes.
    pub(super) fn agree(&self, generation: u64, proposed: Verdict) -> Result<Verdict> {
        if self.config.parallelism.num_nodes == 1 || proposed == Verdict::Done {
            return Ok(proposed);
        }
        let json = serde_json::to_vec(&proposed).map_err(|error| Failure::unexpected(error.to_string()))?;
        let agreed = self.store.compare_set(&verdict_key(generation), b"", &json)?;
        serde_json::from_slice(&agreed).map_err(|error| Failure::unexpected(format!("the store's verdict cannot be read: {error}")))
    }

    /// The verdict that another node has put in the store, if one has.
    pub(super) fn verdict_of_others(&self, generation: u64) -> Result<Option<Verdict>> {
        if self.config.parallelism.num_nodes == 1 || !self.store.contains(&verdict_key(generation))? {
            return Ok(None);
        }
        let json = self.store.get(&verdict_key(generation), POLL)?;
        serde_json::from_slice(&json).map(Some).map_err(|error| Failure::unexpected(format!("the store's verdict cannot be read: {error}")))
    }

    /// Keeps the store up until every node's ranks are done with it.
    pub(super) fn wait_for_others(&self, stop: &StopSignal) -> Result<()> {
        let num_nodes = self.config.parallelism.num_nodes as i64;
        if num_nodes == 1 {
            return Ok(());
        }
        let done = self.store.add("supervisors-done", 1)?;
        if done == num_nodes {
            self.store.set("all-supervisors-done", b"1")?;
        }
        if !self.is_first() {
            return Ok(());
        }
        let deadline = Instant::now() + Duration::from_secs(self.config.failure.rendezvous_timeout_seconds);
        // The store's own wait ends with an error at its deadline, which here only means: look for a signal and wait on.
        while self.store.wait(&["all-supervisors-done"], POLL).is_err() {
            if stop.is_set() || Instant::now() >= deadline {
                tracing::warn!("other nodes' supervisors have not said that they are done");
                break;
            }
        }
        Ok(())
    }
}

fn verdict_key(generation: u64) -> String {
    format!("verdict-{generation}")
}

fn connect(address: &str, port: u16, patience: Duration) -> Result<Store> {
    Store::connect(address, port, patience).map_err(|error| {
        Failure::new(
            ExitCode::Rendezvous,
            format!("this node's supervisor cannot reach node 0's store at {address}:{port}: {error}"),
            "check that node 0 runs and that MASTER_ADDR:MASTER_PORT is reachable from this node",
        )
    })
}
