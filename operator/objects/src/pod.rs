//! A stage's pods.

use crate::environment::{TERMINATION_MESSAGE, Variables};
use crate::metadata::of_try;
use crate::names;
use crate::owner::Owner;
use crate::placement::{near_each_other, tolerations};
use crate::places::{CONFIG_FOLDER, Places};
use crate::ports;
use crate::resources;
use crate::security;
use crate::settings::Settings;
use crate::volumes::{Mounted, mounted};
use crate::work::{Try, Work};
use k8s_openapi::api::core::v1::{Container, ContainerPort, LocalObjectReference, PodSpec, PodTemplateSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use temper_planner::ValidatedFineTuneJob;

/// The program, in the image's PATH.
const PROGRAM: &str = "temper-trainer";
/// Writing a checkpoint of a big model takes a while.
const TRAINING_GRACE_SECONDS: i64 = 120;
/// Nothing is lost where a stage is begun again.
const GRACE_SECONDS: i64 = 30;

/// The pods of this try. Of where training runs nothing is copied to those of the other stages, which need no accelerator.
pub(crate) fn of(job: &ValidatedFineTuneJob, owner: &Owner, settings: &Settings, attempt: Try) -> PodTemplateSpec {
    let environment = Variables::of_stage(job, settings, attempt.number);
    let of_trainer = &job.placement.resources;
    let (environment, resources) = match attempt.work {
        Work::Prepare => (environment, resources::without_accelerator(of_trainer, None)),
        Work::Publish { parameters } => (environment, resources::without_accelerator(of_trainer, parameters)),
        Work::Train { num_nodes, num_proc_per_node } => {
            let world_size = num_nodes * num_proc_per_node;
            (environment.with_node(&owner.name, attempt.number, world_size), resources::of_trainer(of_trainer))
        }
    };
    let mut template = template(job, owner, settings, attempt, environment, resources);
    if let (Work::Train { num_nodes, num_proc_per_node }, Some(pod)) = (attempt.work, &mut template.spec) {
        let placement = &job.placement;
        pod.subdomain = Some(names::service(&owner.name));
        pod.affinity = (num_nodes > 1).then(|| near_each_other(&owner.name, attempt.number));
        pod.node_selector = Some(placement.node_selector.clone()).filter(|selector| !selector.is_empty());
        pod.tolerations = Some(tolerations(&placement.tolerations));
        pod.priority_class_name = placement.priority_class_name.clone();
        pod.runtime_class_name = placement.runtime_class_name.clone();
        pod.termination_grace_period_seconds = Some(TRAINING_GRACE_SECONDS);
        for container in &mut pod.containers {
            container.ports = Some(container_ports(num_proc_per_node));
        }
    }
    template
}

fn template(
    job: &ValidatedFineTuneJob,
    owner: &Owner,
    settings: &Settings,
    attempt: Try,
    environment: Variables,
    resources: ResourceRequirements,
) -> PodTemplateSpec {
    let stage = attempt.stage();
    let Mounted { volumes, mounts } = mounted(&owner.name, &Places::of(job, owner), stage);
    let placement = &job.placement;
    let container = Container {
        name: names::CONTAINER.to_owned(),
        image: Some(placement.image.clone().unwrap_or_else(|| settings.trainer_image.clone())),
        image_pull_policy: pull_policy(job, settings),
        command: Some(vec![PROGRAM.to_owned()]),
        args: Some([stage.name(), "--config", &format!("{CONFIG_FOLDER}/{}", names::CONFIG_KEY)].map(str::to_owned).to_vec()),
        env: Some(environment.into_list()),
        resources: Some(resources),
        security_context: Some(security::of_container()),
        termination_message_path: Some(TERMINATION_MESSAGE.to_owned()),
        // Of a process that dies without a last word the end of its log is kept, from which the trainer has struck secrets out.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    let pull_secrets = placement.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(of_try(&owner.name, stage, attempt.number)), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            containers: vec![container],
            enable_service_links: Some(false),
            image_pull_secrets: Some(pull_secrets.collect::<Vec<_>>()).filter(|secrets| !secrets.is_empty()),
            restart_policy: Some("Never".to_owned()),
            security_context: Some(security::of_pod(settings)),
            service_account_name: placement.service_account_name.clone(),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            tolerations: Some(tolerations(&[])),
            volumes: Some(volumes),
            ..PodSpec::default()
        }),
    }
}

/// The operator's setting is about the operator's image.
fn pull_policy(job: &ValidatedFineTuneJob, settings: &Settings) -> Option<String> {
    let placement = &job.placement;
    let default = settings.trainer_image_pull_policy.filter(|_| placement.image.is_none());
    placement.image_pull_policy.or(default).map(|policy| format!("{policy:?}"))
}

/// The ports of node 0, from whose template the other nodes' pods are made too: their ranks' metrics are on higher ones.
fn container_ports(num_proc_per_node: usize) -> Vec<ContainerPort> {
    let metrics = ports::metrics(num_proc_per_node).enumerate();
    let metrics = metrics.map(|(rank, number)| port(&if rank == 0 { "metrics".to_owned() } else { format!("metrics-{rank}") }, number));
    [port("rendezvous", ports::RENDEZVOUS)].into_iter().chain(metrics).collect()
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}
