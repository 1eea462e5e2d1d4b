//! Who a client is, as a kubeconfig file and as a client's configuration.

use std::path::{Path, PathBuf};

use kube::{Client, Config};
use serde_json::json;

use crate::authority::Authority;

/// Who a client is to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A user by certificate. A [`crate::FaultProxy`] cannot hand it on.
    Certificate {
        /// The name.
        user: String,
        /// A group that the user is in.
        group: Option<String>,
    },
    /// Whoever a bearer token says.
    Token(String),
}

impl Credentials {
    /// The administrator, who may do everything.
    pub fn admin() -> Self {
        Self::Certificate { user: "admin".to_owned(), group: Some("system:masters".to_owned()) }
    }

    /// A user in no group, who may do what RBAC says.
    pub fn user(name: &str) -> Self {
        Self::Certificate { user: name.to_owned(), group: None }
    }
}

/// The files that prove an identity.
struct Proof {
    certificate: PathBuf,
    key: PathBuf,
}

fn write_proof(folder: &Path, authority: &Authority, name: &str, user: &str, group: Option<&str>) -> Proof {
    let identity = authority.client(user, group);
    let proof = Proof { certificate: folder.join(format!("{name}.crt")), key: folder.join(format!("{name}.key")) };
    write(&proof.certificate, &identity.certificate);
    write(&proof.key, &identity.key);
    proof
}

/// Writes a kubeconfig file (as JSON, which is YAML) and what it refers to.
pub(super) fn kubeconfig(folder: &Path, url: &str, authority: &Authority, name: &str, credentials: &Credentials) -> PathBuf {
    let authority_file = folder.join(format!("{name}.ca.crt"));
    write(&authority_file, &authority.certificate());
    let user = match credentials {
        Credentials::Token(token) => json!({ "token": token }),
        Credentials::Certificate { user, group } => {
            let proof = write_proof(folder, authority, name, user, group.as_deref());
            json!({ "client-certificate": proof.certificate, "client-key": proof.key })
        }
    };
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "tests", "cluster": { "server": url, "certificate-authority": authority_file } }],
        "users": [{ "name": name, "user": user }],
        "contexts": [{ "name": "tests", "context": { "cluster": "tests", "user": name } }],
        "current-context": "tests",
    });
    let path = folder.join(format!("{name}.kubeconfig"));
    write(&path, &text.to_string());
    path
}

/// A client; it belongs to the runtime that it is made in.
pub(super) fn client(folder: &Path, url: &str, authority: &Authority, name: &str, credentials: &Credentials) -> Client {
    let mut config = Config::new(url.parse().expect("the URL of a server of these tests"));
    // Faults are for tests to see.
    config.default_retry = false;
    config.root_cert = Some(vec![authority.certificate_der()]);
    match credentials {
        Credentials::Token(token) => config.auth_info.token = Some(token.clone().into()),
        Credentials::Certificate { user, group } => {
            let proof = write_proof(folder, authority, name, user, group.as_deref());
            config.auth_info.client_certificate = Some(proof.certificate.to_string_lossy().into_owned());
            config.auth_info.client_key = Some(proof.key.to_string_lossy().into_owned());
        }
    }
    Client::try_from(config).expect("the certificates above are valid")
}

pub(super) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
}
