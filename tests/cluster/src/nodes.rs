//! The cluster of real nodes that `make test-cluster` starts around the tests: where it is, its volumes, the processes on its nodes.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::namespace::Namespace;
use crate::ran::Ran;
use crate::{kubectl, wait};

/// The cluster's folder.
pub const CLUSTER: &str = "TEMPER_CLUSTER";

/// The names of the nodes.
pub const NAMES: [&str; 2] = ["node-1", "node-2"];

/// This machine on the nodes' network: where pods reach what a test itself serves.
pub const MACHINE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A cluster of two nodes.
#[derive(Debug)]
pub struct Nodes {
    folder: PathBuf,
    turn: Turn,
}

/// Tests run at the same time, but for those that take a node away from the others.
static TURNS: RwLock<()> = RwLock::const_new(());

#[derive(Debug)]
enum Turn {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

impl Nodes {
    /// The cluster that this process is in, beside other tests.
    ///
    /// # Panics
    /// Outside of one.
    pub async fn around() -> Self {
        Self { folder: folder(), turn: Turn::Shared { _guard: TURNS.read().await } }
    }

    /// The same while no other test has it: for those that silence a node.
    ///
    /// # Panics
    /// Outside of one.
    pub async fn alone() -> Self {
        Self { folder: folder(), turn: Turn::Alone { _guard: TURNS.write().await } }
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// A client that may do everything.
    ///
    /// # Panics
    /// When the cluster's own files cannot be read.
    pub async fn admin(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()).expect("the cluster wrote a kubeconfig");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        Client::try_from(config.expect("the cluster's kubeconfig is whole")).expect("the cluster's certificates are valid")
    }

    /// Runs kubectl as the administrator.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Ran {
        kubectl::kubectl(&self.kubeconfig(), arguments, input)
    }

    /// A new namespace.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn namespace(&self, purpose: &str) -> Namespace {
        Namespace::create_with(self.admin().await, purpose).await
    }

    /// Makes a claim that pods of both nodes may use at once, and returns the folder of this machine that is behind it.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn claim(&self, namespace: &Namespace, name: &str) -> PathBuf {
        let volume_name = format!("{}-{name}", namespace.name());
        let folder = self.folder.join("volumes").join(&volume_name);
        std::fs::create_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        open_to_all(&folder);
        let size = json!({ "storage": "10Gi" });
        let volume: PersistentVolume = serde_json::from_value(json!({
            "metadata": { "name": volume_name },
            "spec": {
                "storageClassName": "", "capacity": size, "accessModes": ["ReadWriteMany"],
                "claimRef": { "namespace": namespace.name(), "name": name },
                "hostPath": { "path": folder },
            },
        }))
        .expect("the volume above is one");
        let volumes = Api::all(namespace.client());
        volumes.create(&PostParams::default(), &volume).await.unwrap_or_else(|error| panic!("volume {volume_name}: {error}"));
        let claim = json!({
            "metadata": { "name": name },
            "spec": {
                "storageClassName": "", "volumeName": volume_name, "accessModes": ["ReadWriteMany"], "resources": { "requests": size },
            },
        });
        namespace.create_object::<PersistentVolumeClaim>(claim).await;
        let bound = |claim: &PersistentVolumeClaim| claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"));
        wait::until(&namespace.api(), name, "bound", bound).await;
        folder
    }

    /// The folder of this machine behind the volume that a claim of the default StorageClass took.
    pub fn folder_of_volume(&self, volume: &str) -> PathBuf {
        self.folder.join("volumes").join(volume)
    }

    /// The processes on the nodes whose command line `wanted` picks.
    pub fn processes(&self, wanted: impl Fn(&[String]) -> bool) -> Vec<NodeProcess> {
        let numbers = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers
            .filter_map(|number| {
                let line = std::fs::read(format!("/proc/{number}/cmdline")).ok()?;
                let words: Vec<_> = String::from_utf8_lossy(&line).split_terminator('\0').map(ToOwned::to_owned).collect();
                (!words.is_empty() && wanted(&words)).then_some(NodeProcess { pid: Pid::from_raw(number)?, words })
            })
            .collect()
    }

    /// Stops a node's kubelet and the programs in its pods until the result is dropped, as a machine that hangs or is cut off does: it
    /// says nothing, nobody reaches it, and one day it goes on where it was.
    ///
    /// # Panics
    /// When the node has no kubelet.
    pub fn freeze(&self, node: &str) -> Frozen {
        assert!(matches!(self.turn, Turn::Alone { .. }), "other tests need {node} too: use Nodes::alone");
        let is_kubelet = |words: &[String]| words[0].ends_with("/kubelet") && words.iter().any(|word| word == node);
        let kubelets = self.processes(is_kubelet);
        assert!(kubelets.len() == 1, "{node} has not one kubelet but {kubelets:?}");
        let in_pods = self.processes(|_| true).into_iter().filter(|process| process.pod_node().as_deref() == Some(node));
        let processes: Vec<_> = kubelets.into_iter().chain(in_pods).collect();
        for process in &processes {
            // A program in a pod may have ended since it was found.
            let _ = kill_process(process.pid, Signal::STOP);
        }
        Frozen { processes }
    }
}

fn folder() -> PathBuf {
    let folder = std::env::var_os(CLUSTER);
    folder.unwrap_or_else(|| panic!("{CLUSTER} is not set: these tests run in a cluster; run: make test-cluster")).into()
}

/// Lets pods write as whichever user they run as.
fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o1777);
    std::fs::set_permissions(folder, mode).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
}

/// A process on a node, in a pod or beside them.
#[derive(Clone, Debug)]
pub struct NodeProcess {
    pid: Pid,
    /// Its command line.
    pub words: Vec<String>,
}

impl NodeProcess {
    /// One of the variables that it was started with.
    pub fn variable(&self, name: &str) -> Option<String> {
        let environment = std::fs::read(self.file("environ")).ok()?;
        let environment = String::from_utf8_lossy(&environment);
        let mut pairs = environment.split_terminator('\0').filter_map(|entry| entry.split_once('='));
        pairs.find_map(|(key, value)| (key == name).then(|| value.to_owned()))
    }

    /// The node in one of whose pods it is, by its control group: below those of its node and of `kubepods`.
    fn pod_node(&self) -> Option<String> {
        let groups = std::fs::read_to_string(self.file("cgroup")).ok()?;
        let path = groups.lines().find(|line| line.contains("/kubepods"))?;
        NAMES.into_iter().find(|node| path.contains(&format!("/{node}/kubepods"))).map(str::to_owned)
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.pid.as_raw_nonzero().to_string()).join(name)
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap_or_else(|error| panic!("cannot send {signal:?} to {self:?}: {error}"));
    }
}

/// A node that hangs; it goes on when this is dropped.
#[derive(Debug)]
pub struct Frozen {
    processes: Vec<NodeProcess>,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for process in &self.processes {
            // One that was killed meanwhile needs no thawing.
            let _ = kill_process(process.pid, Signal::CONT);
        }
    }
}
