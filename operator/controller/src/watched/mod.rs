//! The parts of Kubernetes' own objects that decisions depend on.
//!
//! Watch events are decoded into these instead of the whole types: what nobody reads is neither parsed into memory nor kept, which is what
//! lets thousands of jobs fit into little.

mod batch_job;
mod fine_tune_job;
mod kept;
mod metadata;
mod pod;

pub use batch_job::{BatchJob, BatchJobEvent, BatchJobSpec, BatchJobStatus, JobCondition};
pub use fine_tune_job::{Active, Body, Finished, KnownJob};
pub use kept::Kept;
pub use metadata::Marker;
pub use pod::{COMPLETION_INDEX, Pod, PodCondition, PodEvent, Terminated, Waiting};

/// Makes a decoded part of an object stand for the whole of it in kube's API: same group, version, kind and plural.
macro_rules! stands_for {
    ($part:ty, $whole:ty) => {
        impl kube::Resource for $part {
            type DynamicType = ();
            type Scope = <$whole as kube::Resource>::Scope;

            fn kind(_: &()) -> std::borrow::Cow<'_, str> {
                <$whole as k8s_openapi::Resource>::KIND.into()
            }

            fn group(_: &()) -> std::borrow::Cow<'_, str> {
                <$whole as k8s_openapi::Resource>::GROUP.into()
            }

            fn version(_: &()) -> std::borrow::Cow<'_, str> {
                <$whole as k8s_openapi::Resource>::VERSION.into()
            }

            fn plural(_: &()) -> std::borrow::Cow<'_, str> {
                <$whole as k8s_openapi::Resource>::URL_PATH_SEGMENT.into()
            }

            fn meta(&self) -> &kube::api::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut kube::api::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
pub(crate) use stands_for;
