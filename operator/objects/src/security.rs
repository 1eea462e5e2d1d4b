//! As whom pods run: the `restricted` Pod Security level, and a root file system that nobody writes to.

use crate::settings::Settings;
use k8s_openapi::api::core::v1::{Capabilities, PodSecurityContext, SeccompProfile, SecurityContext};

/// The user and group of the image.
const TEMPER: i64 = 65532;

/// Of a pod. Volumes are given to the pod's group; one that has it already is left as it is, which matters for those with many files. A
/// platform that assigns users and groups from a range of each namespace, as OpenShift does, refuses pods that name others.
pub(crate) fn of_pod(settings: &Settings) -> PodSecurityContext {
    let temper = (!settings.pods_without_user).then_some(TEMPER);
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: temper,
        run_as_group: temper,
        fs_group: temper,
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// Of a container.
pub(crate) fn of_container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}
