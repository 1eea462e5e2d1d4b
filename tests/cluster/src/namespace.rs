//! A namespace of a test's own, and whom it lets in.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, ServiceAccount};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding};
use kube::api::PostParams;
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::ApiResource;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, Credentials};
use crate::wait;

/// A new namespace of the shared control plane. It is never deleted: it ends with the control plane, and nothing in it disturbs others.
///
/// Pods in it must pass the `restricted` Pod Security Standard, so every test shows that ours do.
#[derive(Clone)]
pub struct Namespace {
    name: String,
    client: Client,
}

impl Namespace {
    /// Makes a namespace; `purpose` begins its name.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn create(purpose: &str) -> Self {
        Self::create_with(ControlPlane::shared().admin(), purpose).await
    }

    /// The same in another cluster, by an administrator's client.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn create_with(client: Client, purpose: &str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("{purpose}-{}", MADE.fetch_add(1, Ordering::Relaxed));
        let object: NamespaceObject = from(json!({
            "metadata": { "name": name, "labels": { "pod-security.kubernetes.io/enforce": "restricted" } },
        }));
        let namespaces = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &object).await.unwrap_or_else(|error| panic!("namespace {name}: {error}"));
        let namespace = Self { name, client };
        // Pods are refused until their service account is there.
        wait::until(&namespace.api::<ServiceAccount>(), "default", "there", |_| true).await;
        namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An administrator's client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The objects of one kind in it, as an administrator sees them.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Creates an object from its manifest.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn create_object<K>(&self, manifest: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + serde::Serialize,
    {
        let object = from(manifest);
        self.api::<K>().create(&PostParams::default(), &object).await.unwrap_or_else(|error| panic!("cannot create {object:?}: {error}"))
    }

    /// The objects of a kind that a manifest names, untyped: what `kubectl apply` works on.
    ///
    /// # Panics
    /// When the manifest has no apiVersion or kind.
    pub fn untyped(&self, manifest: &Value) -> Api<DynamicObject> {
        untyped(self.client.clone(), &self.name, manifest)
    }

    /// Makes a service account that may do in this namespace what the rules say, and returns its token.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn service_account(&self, name: &str, rules: &[PolicyRule]) -> Credentials {
        let metadata = json!({ "name": name });
        self.create_object::<ServiceAccount>(json!({ "metadata": metadata })).await;
        self.create_object::<Role>(json!({ "metadata": metadata, "rules": rules })).await;
        self.create_object::<RoleBinding>(json!({
            "metadata": metadata,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": self.name }],
        }))
        .await;
        self.token(name).await
    }

    /// A token of a service account that is there.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn token(&self, service_account: &str) -> Credentials {
        let request =
            TokenRequest { spec: TokenRequestSpec { expiration_seconds: Some(7200), ..Default::default() }, ..Default::default() };
        let accounts = self.api::<ServiceAccount>();
        let answer = accounts.create_token_request(service_account, &PostParams::default(), &request).await;
        let answer = answer.unwrap_or_else(|error| panic!("no token for {service_account}: {error}"));
        Credentials::Token(answer.status.expect("an answered token request has a status").token)
    }
}

/// The same with any client.
///
/// # Panics
/// When the manifest has no apiVersion or kind.
pub fn untyped(client: Client, namespace: &str, manifest: &Value) -> Api<DynamicObject> {
    let text = |field: &str| manifest[field].as_str().unwrap_or_else(|| panic!("no {field} in {manifest}"));
    let (group, version) = text("apiVersion").rsplit_once('/').unwrap_or(("", text("apiVersion")));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
    Api::namespaced_with(client, namespace, &resource)
}

fn from<K: DeserializeOwned>(manifest: Value) -> K {
    serde_json::from_value(manifest.clone()).unwrap_or_else(|error| panic!("{error} in {manifest}"))
}
