//! The flags of the three servers.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use kube::Client;

use super::credentials::write;
use crate::authority::{Authority, key};
use crate::process::Process;
use crate::{background, binaries, loopback, wait};

/// The file in the control plane's folder that the API server writes a line to for every request.
pub(super) const AUDIT_LOG: &str = "audit.log";

/// Who asked for what, for every request, once it is answered (for a watch also once it starts).
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [{"level": "Metadata", "omitManagedFields": true}]
}"#;

/// How long a server may take to start on a machine that compiles something beside it.
const START: Duration = Duration::from_secs(90);

/// Writes what the servers read at their start, beside the administrator's kubeconfig.
pub(super) fn write_files(folder: &Path, address: IpAddr, authority: &Authority) {
    let identity = authority.server(address);
    write(&folder.join("server.crt"), &identity.certificate);
    write(&folder.join("server.key"), &identity.key);
    write(&folder.join("ca.crt"), &authority.certificate());
    let service_accounts = key();
    write(&folder.join("service-accounts.key"), &service_accounts.serialize_pem());
    write(&folder.join("service-accounts.pub"), &service_accounts.public_key_pem());
    write(&folder.join("audit-policy.json"), AUDIT_POLICY);
}

/// Starts a server in the folder, so that its flags may name files in it.
fn server(folder: &Path, name: &str, flags: &str) -> Process {
    let program = binaries::kubernetes(name);
    let flags = flags.split_whitespace().map(|flag| flag.replace("FOLDER", &folder.to_string_lossy()));
    Process::start(name, &program, flags, &folder.join(format!("{name}.log")))
}

/// Starts etcd. What it holds is worth nothing after a crash, so it does not wait for the disk.
pub(super) fn etcd(folder: &Path, address: IpAddr) -> (Process, SocketAddr) {
    let [clients, peers] = [(); 2].map(|()| loopback::port(address));
    let flags = format!(
        "--name=etcd --data-dir=FOLDER/etcd --unsafe-no-fsync --log-level=warn
         --listen-client-urls=http://{clients} --advertise-client-urls=http://{clients}
         --listen-peer-urls=http://{peers} --initial-advertise-peer-urls=http://{peers} --initial-cluster=etcd=http://{peers}"
    );
    (server(folder, "etcd", &flags), clients)
}

/// Starts the API server. Its address is loopback, which no Service may have for an endpoint: so nobody reconciles the endpoints of
/// the Service `kubernetes`.
pub(super) fn api_server(folder: &Path, endpoint: SocketAddr, etcd: SocketAddr) -> Process {
    let (address, port) = (endpoint.ip(), endpoint.port());
    let flags = format!(
        "--etcd-servers=http://{etcd}
         --bind-address={address} --advertise-address={address} --secure-port={port} --endpoint-reconciler-type=none
         --tls-cert-file=FOLDER/server.crt --tls-private-key-file=FOLDER/server.key --client-ca-file=FOLDER/ca.crt
         --service-account-key-file=FOLDER/service-accounts.pub --service-account-signing-key-file=FOLDER/service-accounts.key
         --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range=10.96.0.0/16
         --authorization-mode=Node,RBAC --anonymous-auth=false
         --audit-policy-file=FOLDER/audit-policy.json --audit-log-path=FOLDER/{AUDIT_LOG} --audit-log-maxsize=100000"
    );
    server(folder, "kube-apiserver", &flags)
}

/// Starts the controller manager. It may ask as often as it has to: its answers should not be what a bench measures.
pub(super) fn controller_manager(folder: &Path, address: IpAddr, admin: &Path) -> Process {
    let port = loopback::port(address).port();
    let admin = admin.display();
    let flags = format!(
        "--kubeconfig={admin} --authentication-kubeconfig={admin} --authorization-kubeconfig={admin}
         --service-account-private-key-file=FOLDER/service-accounts.key --root-ca-file=FOLDER/ca.crt --use-service-account-credentials
         --bind-address={address} --secure-port={port} --leader-elect=false
         --kube-api-qps=2000 --kube-api-burst=4000"
    );
    server(folder, "kube-controller-manager", &flags)
}

/// Blocks until the API server answers that it is ready.
///
/// # Panics
/// When one of the servers ends instead, or in the end.
pub(super) fn await_ready(admin: impl FnOnce() -> Client + Send, mut servers: Vec<Process>) -> Vec<Process> {
    background::wait(|| async move {
        let client = admin();
        wait::eventually(START, "the API server is ready", async || {
            for server in &mut servers {
                assert!(server.ended().is_none(), "{} ended; its log follows", server.name());
            }
            let request = http::Request::get("/readyz").body(Vec::new()).expect("a request without a body");
            client.request_text(request).await.map_err(|error| error.to_string())
        })
        .await;
        servers
    })
}
