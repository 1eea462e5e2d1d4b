package objects

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"temper.dev/bench/operator/peer/api"
)

const (
	container          = "trainer"
	configKey          = "trainer-config.json"
	configFolder       = "/etc/temper"
	terminationMessage = "/dev/termination-log"
	scratch            = "/tmp"
	temperUser         = 65532
	completionIndex    = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
)

func podTemplate(job *api.FineTuneJob, places Places, settings Settings, stage string) *corev1ac.PodTemplateSpecApplyConfiguration {
	volumes, mounts := volumesOf(job, places, stage)
	image := settings.TrainerImage
	if job.Spec.Trainer.Image != nil {
		image = *job.Spec.Trainer.Image
	}
	trainer := corev1ac.Container().
		WithName(container).
		WithImage(image).
		WithImagePullPolicy(corev1.PullIfNotPresent).
		WithCommand("temper-trainer").
		WithArgs(stage, "--config", configFolder+"/"+configKey).
		WithEnv(environment(job, stage)...).
		WithResources(resourcesOf(job, stage)).
		WithSecurityContext(corev1ac.SecurityContext().
			WithAllowPrivilegeEscalation(false).
			WithReadOnlyRootFilesystem(true).
			WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))).
		WithTerminationMessagePath(terminationMessage).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError).
		WithVolumeMounts(mounts...)
	pod := corev1ac.PodSpec().
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithRestartPolicy(corev1.RestartPolicyNever).
		WithSecurityContext(corev1ac.PodSecurityContext().
			WithRunAsNonRoot(true).
			WithRunAsUser(temperUser).WithRunAsGroup(temperUser).WithFSGroup(temperUser).
			WithFSGroupChangePolicy(corev1.FSGroupChangeOnRootMismatch).
			WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))).
		WithTerminationGracePeriodSeconds(30).
		WithTolerations(tolerations()...).
		WithVolumes(volumes...)
	if stage == Train {
		pod.WithSubdomain(ranksName(job.Name)).WithTerminationGracePeriodSeconds(120)
		if job.Spec.Trainer.NumNodes > 1 {
			pod.WithAffinity(nearEachOther(job))
		}
		trainer.WithPorts(containerPorts(job)...)
	}
	pod.WithContainers(trainer)
	return corev1ac.PodTemplateSpec().WithLabels(stageLabels(job, stage)).WithSpec(pod)
}

func environment(job *api.FineTuneJob, stage string) []*corev1ac.EnvVarApplyConfiguration {
	values := map[string]string{
		"HOME":                            scratch,
		"TMPDIR":                          scratch,
		"TEMPER_ATTEMPT":                  "0",
		"TEMPER_LOG_FORMAT":               "json",
		"TEMPER_TERMINATION_MESSAGE_PATH": terminationMessage,
		"OMP_NUM_THREADS":                 strconv.FormatInt(threads(job), 10),
	}
	if stage == Train {
		values["MASTER_ADDR"] = fmt.Sprintf("%s-0.%s", JobName(job.Name, Train), ranksName(job.Name))
		values["MASTER_PORT"] = strconv.Itoa(rendezvousPort)
		values["WORLD_SIZE"] = strconv.FormatInt(job.Spec.Trainer.NumNodes*job.Spec.Trainer.NumProcPerNode, 10)
		values["TEMPER_METRICS_PORT"] = strconv.Itoa(MetricsPort)
	}
	variables := make([]*corev1ac.EnvVarApplyConfiguration, 0, len(values)+1)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		variables = append(variables, corev1ac.EnvVar().WithName(name).WithValue(values[name]))
	}
	if stage == Train {
		rank := corev1ac.EnvVar().WithName("NODE_RANK").
			WithValueFrom(corev1ac.EnvVarSource().WithFieldRef(corev1ac.ObjectFieldSelector().WithFieldPath(completionIndex)))
		variables = append(variables, rank)
		slices.SortFunc(variables, func(a, b *corev1ac.EnvVarApplyConfiguration) int { return strings.Compare(*a.Name, *b.Name) })
	}
	return variables
}

func resourcesOf(job *api.FineTuneJob, stage string) *corev1ac.ResourceRequirementsApplyConfiguration {
	given := job.Spec.Trainer.ResourcesPerNode
	if stage == Train {
		requests := maps.Clone(given.Limits)
		maps.Copy(requests, given.Requests)
		return corev1ac.ResourceRequirements().WithLimits(given.Limits).WithRequests(requests)
	}
	memory := resource.MustParse("1Gi")
	if stage == Publish && job.Status.Parameters != nil {
		mebibytes := (job.Status.Parameters.Total*4*11/10+1<<20-1)>>20 + 512
		memory = resource.MustParse(fmt.Sprintf("%dMi", mebibytes))
	}
	requests := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: memory}
	cpu, limited := given.Limits[corev1.ResourceCPU]
	if !limited {
		return corev1ac.ResourceRequirements().WithRequests(requests)
	}
	if cpu.MilliValue() < 1000 {
		requests[corev1.ResourceCPU] = cpu
	}
	return corev1ac.ResourceRequirements().WithLimits(corev1.ResourceList{corev1.ResourceCPU: cpu}).WithRequests(requests)
}

func volumesOf(job *api.FineTuneJob, places Places, stage string) ([]*corev1ac.VolumeApplyConfiguration, []*corev1ac.VolumeMountApplyConfiguration) {
	volumes := []*corev1ac.VolumeApplyConfiguration{
		corev1ac.Volume().WithName("config").WithConfigMap(corev1ac.ConfigMapVolumeSource().
			WithName(configMapName(job.Name)).
			WithItems(corev1ac.KeyToPath().WithKey(configKey).WithPath(configKey))),
		corev1ac.Volume().WithName("tmp").WithEmptyDir(corev1ac.EmptyDirVolumeSource()),
	}
	mounts := []*corev1ac.VolumeMountApplyConfiguration{
		corev1ac.VolumeMount().WithName("config").WithMountPath(configFolder).WithReadOnly(true),
		corev1ac.VolumeMount().WithName("tmp").WithMountPath(scratch),
	}
	if stage == Train {
		memory := corev1ac.EmptyDirVolumeSource().WithMedium(corev1.StorageMediumMemory)
		volumes = append(volumes, corev1ac.Volume().WithName("shm").WithEmptyDir(memory))
		mounts = append(mounts, corev1ac.VolumeMount().WithName("shm").WithMountPath("/dev/shm"))
	}
	for number, claim := range places.mounts(stage, job.Spec.Output.StorageURI != nil) {
		name := fmt.Sprintf("claim-%d", number)
		source := corev1ac.PersistentVolumeClaimVolumeSource().WithClaimName(claim.claim)
		mount := corev1ac.VolumeMount().WithName(name).WithMountPath("/volumes/" + claim.claim)
		if claim.readOnly {
			source.WithReadOnly(true)
			mount.WithReadOnly(true)
		}
		volumes = append(volumes, corev1ac.Volume().WithName(name).WithPersistentVolumeClaim(source))
		mounts = append(mounts, mount)
	}
	return volumes, mounts
}

// tolerations let pods leave a lost machine soon.
func tolerations() []*corev1ac.TolerationApplyConfiguration {
	lost := func(taint string) *corev1ac.TolerationApplyConfiguration {
		return corev1ac.Toleration().
			WithKey(taint).WithOperator(corev1.TolerationOpExists).WithEffect(corev1.TaintEffectNoExecute).WithTolerationSeconds(10)
	}
	return []*corev1ac.TolerationApplyConfiguration{lost(corev1.TaintNodeNotReady), lost(corev1.TaintNodeUnreachable)}
}

func nearEachOther(job *api.FineTuneJob) *corev1ac.AffinityApplyConfiguration {
	term := corev1ac.PodAffinityTerm().
		WithLabelSelector(selector(stageLabels(job, Train))).
		WithTopologyKey(corev1.LabelTopologyZone)
	return corev1ac.Affinity().WithPodAffinity(corev1ac.PodAffinity().
		WithPreferredDuringSchedulingIgnoredDuringExecution(corev1ac.WeightedPodAffinityTerm().WithWeight(100).WithPodAffinityTerm(term)))
}

func containerPorts(job *api.FineTuneJob) []*corev1ac.ContainerPortApplyConfiguration {
	port := func(name string, number int32) *corev1ac.ContainerPortApplyConfiguration {
		return corev1ac.ContainerPort().WithName(name).WithContainerPort(number).WithProtocol(corev1.ProtocolTCP)
	}
	ports := []*corev1ac.ContainerPortApplyConfiguration{port("rendezvous", rendezvousPort)}
	for rank := range int32(job.Spec.Trainer.NumProcPerNode) {
		name := "metrics"
		if rank > 0 {
			name = fmt.Sprintf("metrics-%d", rank)
		}
		ports = append(ports, port(name, MetricsPort+rank))
	}
	return ports
}
