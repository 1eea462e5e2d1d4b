//! The cluster of real nodes that `make test-cluster` starts around the tests: where it is, its volumes, the processes on its nodes.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::kubectl::{self, Ran};
use crate::namespace::Namespace;
use crate::wait;

/// The cluster's folder.
pub const CLUSTER: &str = "TEMPER_CLUSTER";

/// The names of the nodes.
pub const NAMES: [&str; 2] = ["node-1", "node-2"];

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

    /// Silences a node's kubelet until the result is dropped: its pods go on, and nobody hears of them.
    ///
    /// # Panics
    /// When the node has no kubelet.
    pub fn silence(&self, node: &str) -> Silence {
        assert!(matches!(self.turn, Turn::Alone { .. }), "other tests need {node} too: use Nodes::alone");
        let kubelet = |words: &[String]| words[0].ends_with("/kubelet") && words.iter().any(|word| word == node);
        let [kubelet] = self.processes(kubelet).try_into().unwrap_or_else(|found| panic!("{node} has not one kubelet but {found:?}"));
        kubelet.signal(Signal::STOP);
        Silence { kubelet }
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
    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap_or_else(|error| panic!("cannot send {signal:?} to {self:?}: {error}"));
    }
}

/// A silent kubelet; it speaks again when this is dropped.
#[derive(Debug)]
pub struct Silence {
    kubelet: NodeProcess,
}

impl Drop for Silence {
    fn drop(&mut self) {
        self.kubelet.signal(Signal::CONT);
    }
}
