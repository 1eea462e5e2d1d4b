//! The environment of trainer processes: little of ours, what the manifest allows, and what the contract names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use temper_contract::env;

/// Variables of this process that a trainer also gets. A trainer's numbers must not depend on the rest (`OMP_*` and `MKL_*` would
/// change them), and credentials are none of its business unless a job names a place that takes them: see [`identity`].
const PASSED_ON: [&str; 30] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "TZ",
    "USER",
    "LD_LIBRARY_PATH",
    "LIBTORCH",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "XDG_CACHE_HOME",
    // How hubs and object stores are reached.
    "HF_ENDPOINT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TEMPER_STORAGE_RETRIES",
    env::METRICS_PORT,
    env::LOG_FORMAT,
    env::KILL_AT,
];

/// Variables for one process.
pub type Environment = BTreeMap<String, OsString>;

/// What every trainer process gets: what is passed on of `ours`, then the manifest's own variables, then the number of threads and
/// where to leave its last words.
pub fn base(
    ours: impl IntoIterator<Item = (OsString, OsString)>,
    manifest: &BTreeMap<String, String>,
    threads: usize,
    termination_message: &Path,
) -> Environment {
    let mut environment: Environment = ours
        .into_iter()
        .filter_map(|(name, value)| name.into_string().ok().map(|name| (name, value)))
        .filter(|(name, _)| PASSED_ON.contains(&name.as_str()))
        .collect();
    environment.insert(env::OMP_NUM_THREADS.to_owned(), threads.to_string().into());
    environment.extend(manifest.iter().map(|(name, value)| (name.clone(), OsString::from(value))));
    environment.insert(env::TERMINATION_MESSAGE_PATH.to_owned(), termination_message.into());
    environment.insert(env::PARENT_PID.to_owned(), std::process::id().to_string().into());
    environment
}

/// Variables that the tools of hubs and object stores find an identity by.
const IDENTITY: [&str; 4] = ["AWS_", "AZURE_", "GOOGLE_", "HF_TOKEN"];

/// The variables of `ours` that say who this user is to hubs and object stores: for a job that names such a place and no Secret for it.
pub fn identity(ours: impl IntoIterator<Item = (OsString, OsString)>) -> Environment {
    let named = ours.into_iter().filter_map(|(name, value)| name.into_string().ok().map(|name| (name, value)));
    named.filter(|(name, _)| IDENTITY.iter().any(|start| name.starts_with(start))).collect()
}

/// Where a node stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub rank: usize,
    /// Ranks over all nodes.
    pub world_size: usize,
    /// Port of node 0's store; with a single node its supervisor has the system choose.
    pub master_port: Option<u16>,
    /// The attempt's number.
    pub attempt: u64,
}

/// Adds what one node of a training attempt needs. All nodes are on this machine.
pub fn for_node(mut environment: Environment, node: Node) -> Environment {
    environment.insert(env::MASTER_ADDR.to_owned(), "127.0.0.1".into());
    environment.extend(node.master_port.map(|port| (env::MASTER_PORT.to_owned(), OsString::from(port.to_string()))));
    environment.insert(env::WORLD_SIZE.to_owned(), node.world_size.to_string().into());
    environment.insert(env::NODE_RANK.to_owned(), node.rank.to_string().into());
    environment.insert(env::ATTEMPT.to_owned(), node.attempt.to_string().into());
    environment
}

/// A port that is free at this moment. Another process may take it before node 0 does: that attempt then fails, which another try may get
/// past, and the next one has another port.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::{Node, base, for_node, identity};
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::path::Path;

    #[test]
    fn a_single_node_chooses_its_port_itself() {
        let environment = for_node(BTreeMap::new(), Node { rank: 0, world_size: 2, master_port: None, attempt: 0 });
        let names: Vec<&str> = environment.keys().map(String::as_str).collect();
        assert_eq!(names, ["MASTER_ADDR", "NODE_RANK", "TEMPER_ATTEMPT", "WORLD_SIZE"]);
    }

    #[test]
    fn an_identity_is_what_the_tools_of_stores_read() {
        let ours = ["AWS_PROFILE", "AZURE_STORAGE_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "HF_TOKEN", "KUBECONFIG", "OMP_NUM_THREADS"]
            .map(|name| (OsString::from(name), OsString::from("x")));
        let named = identity(ours);
        let names: Vec<&str> = named.keys().map(String::as_str).collect();
        assert_eq!(names, ["AWS_PROFILE", "AZURE_STORAGE_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "HF_TOKEN"]);
    }

    #[test]
    fn secrets_and_thread_settings_of_the_shell_stay_outside() {
        let ours = [
            ("PATH", "/bin"),
            ("https_proxy", "http://proxy"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("OMP_NUM_THREADS", "64"),
            ("MKL_NUM_THREADS", "64"),
        ]
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let manifest = BTreeMap::from([("GLOO_SOCKET_IFNAME".to_owned(), "lo".to_owned())]);
        let environment = base(ours, &manifest, 2, Path::new("/run/last-words"));
        let environment = for_node(environment, Node { rank: 1, world_size: 4, master_port: Some(29_500), attempt: 3 });
        let parent = environment.get("TEMPER_PARENT_PID").cloned();
        assert_eq!(parent, Some(OsString::from(std::process::id().to_string())));
        let text: Vec<String> = environment
            .iter()
            .filter(|(name, _)| *name != "TEMPER_PARENT_PID")
            .map(|(name, value)| format!("{name}={}", value.to_string_lossy()))
            .collect();
        assert_eq!(
            text,
            [
                "GLOO_SOCKET_IFNAME=lo",
                "MASTER_ADDR=127.0.0.1",
                "MASTER_PORT=29500",
                "NODE_RANK=1",
                "OMP_NUM_THREADS=2",
                "PATH=/bin",
                "TEMPER_ATTEMPT=3",
                "TEMPER_TERMINATION_MESSAGE_PATH=/run/last-words",
                "WORLD_SIZE=4",
                "https_proxy=http://proxy",
            ]
        );
    }
}
