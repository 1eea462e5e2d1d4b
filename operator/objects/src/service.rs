//! The headless Service by which a job's nodes find each other.

use crate::metadata::{metadata, of_job, training_labels};
use crate::names;
use crate::owner::Owner;
use crate::ports;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

/// The Service. It names pods that are not ready too: node 0 is looked for while everybody starts.
pub(crate) fn service(owner: &Owner) -> Service {
    Service {
        metadata: metadata(owner, names::service(&owner.name), of_job(&owner.name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(training_labels(&owner.name)),
            ports: Some(vec![ServicePort {
                name: Some("rendezvous".to_owned()),
                port: ports::RENDEZVOUS.into(),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
