//! What the person who asks may do, asked before it is tried: what is refused would stand in the cluster's audit log.

use crate::cluster::access::Session;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;
use std::collections::BTreeMap;

/// What was asked already.
pub(super) struct Rights<'a> {
    session: &'a Session,
    known: BTreeMap<[String; 5], bool>,
}

/// Something that may be done: a verb, and what it is done to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deed<'a> {
    pub(super) verb: &'a str,
    pub(super) group: &'a str,
    pub(super) resource: &'a str,
    /// `None` for all of them, or for what has no namespace.
    pub(super) namespace: Option<&'a str>,
    pub(super) name: Option<&'a str>,
}

impl<'a> Rights<'a> {
    pub(super) const fn new(session: &'a Session) -> Self {
        Self { session, known: BTreeMap::new() }
    }

    /// Whether it may be done. Where the API server does not say, it is not tried.
    pub(super) async fn allow(&mut self, deed: Deed<'_>) -> bool {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let key = [deed.verb.to_owned(), deed.group.to_owned(), deed.resource.to_owned(), text(deed.namespace), text(deed.name)];
        if let Some(allowed) = self.known.get(&key) {
            return *allowed;
        }
        let attributes = ResourceAttributes {
            verb: Some(deed.verb.to_owned()),
            group: Some(deed.group.to_owned()),
            resource: Some(deed.resource.to_owned()),
            namespace: deed.namespace.map(str::to_owned),
            name: deed.name.map(str::to_owned),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), non_resource_attributes: None },
            ..SelfSubjectAccessReview::default()
        };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.session.client.clone());
        let parameters = PostParams::default();
        let answer = self.session.ask("ask for my rights", reviews.create(&parameters, &review)).await;
        let allowed = answer.is_ok_and(|answer| answer.status.is_some_and(|status| status.allowed));
        self.known.insert(key, allowed);
        allowed
    }
}
