package objects

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"temper.dev/bench/operator/peer/api"
)

// Object is one thing that must exist for a stage.
type Object struct {
	GVK  schema.GroupVersionKind
	Name string
	// Digest of its content; empty for what cannot be changed once it is made.
	Digest string
	// Apply is what is sent.
	Apply runtime.ApplyConfiguration
}

// Kinds of objects besides Jobs.
var (
	ConfigMapKind     = corev1.SchemeGroupVersion.WithKind("ConfigMap")
	ServiceKind       = corev1.SchemeGroupVersion.WithKind("Service")
	ClaimKind         = corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim")
	NetworkPolicyKind = schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"}
	JobKind           = schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "Job"}
)

// Companion is what a stage's Job cannot do without.
type Companion struct {
	GVK  schema.GroupVersionKind
	Name string
}

// Companions of a stage's Job.
func Companions(job *api.FineTuneJob, stage string) []Companion {
	if stage == Train {
		return []Companion{
			{ConfigMapKind, configMapName(job.Name)}, {NetworkPolicyKind, ranksName(job.Name)}, {ServiceKind, ranksName(job.Name)},
		}
	}
	return []Companion{{ConfigMapKind, configMapName(job.Name)}, {NetworkPolicyKind, transferName(job.Name)}}
}

// Of is everything that must exist for a stage, in the order in which to apply it.
func Of(job *api.FineTuneJob, settings Settings, stage string) ([]Object, error) {
	places, err := PlacesOf(job)
	if err != nil {
		return nil, err
	}
	var all []Object
	if places.OwnsClaim() {
		all = append(all, Object{GVK: ClaimKind, Name: ClaimName(job.Name), Apply: claim(job, settings)})
	}
	config, err := configMap(job, places)
	if err != nil {
		return nil, err
	}
	all = append(all, config)
	if stage == Train {
		all = append(all, policy(job, ranksName(job.Name), ranksPolicy(job, settings)), service(job))
	} else {
		all = append(all, policy(job, transferName(job.Name), transferPolicy(job)))
	}
	return append(all, Object{GVK: JobKind, Name: JobName(job.Name, stage), Apply: batchJob(job, places, settings, stage)}), nil
}

func claim(job *api.FineTuneJob, settings Settings) *corev1ac.PersistentVolumeClaimApplyConfiguration {
	mode := corev1.ReadWriteOnce
	if job.Spec.Trainer.NumNodes > 1 {
		mode = corev1.ReadWriteMany
	}
	return corev1ac.PersistentVolumeClaim(ClaimName(job.Name), job.Namespace).
		WithLabels(jobLabels(job)).
		WithAnnotations(annotations(job, "")).
		WithOwnerReferences(ownerReference(job)).
		WithSpec(corev1ac.PersistentVolumeClaimSpec().
			WithAccessModes(mode).
			WithResources(corev1ac.VolumeResourceRequirements().
				WithRequests(corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(settings.RunVolumeSize)})))
}

func configMap(job *api.FineTuneJob, places Places) (Object, error) {
	config, err := configOf(job, places)
	if err != nil {
		return Object{}, err
	}
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return Object{}, err
	}
	digest := digestOf(text)
	return Object{GVK: ConfigMapKind, Name: configMapName(job.Name), Digest: digest, Apply: corev1ac.ConfigMap(configMapName(job.Name), job.Namespace).
		WithLabels(jobLabels(job)).
		WithAnnotations(annotations(job, digest)).
		WithOwnerReferences(ownerReference(job)).
		WithData(map[string]string{configKey: string(text)})}, nil
}

func policy(job *api.FineTuneJob, name string, spec *networkingv1ac.NetworkPolicySpecApplyConfiguration) Object {
	digest := digestOfValue(spec)
	return Object{GVK: NetworkPolicyKind, Name: name, Digest: digest, Apply: networkingv1ac.NetworkPolicy(name, job.Namespace).
		WithLabels(jobLabels(job)).
		WithAnnotations(annotations(job, digest)).
		WithOwnerReferences(ownerReference(job)).
		WithSpec(spec)}
}

func service(job *api.FineTuneJob) Object {
	spec := corev1ac.ServiceSpec().
		WithClusterIP(corev1.ClusterIPNone).
		WithPublishNotReadyAddresses(true).
		WithSelector(map[string]string{JobNameLabel: job.Name, StageLabel: Train}).
		WithPorts(corev1ac.ServicePort().WithName("rendezvous").WithPort(rendezvousPort).WithProtocol(corev1.ProtocolTCP))
	digest := digestOfValue(spec)
	return Object{GVK: ServiceKind, Name: ranksName(job.Name), Digest: digest, Apply: corev1ac.Service(ranksName(job.Name), job.Namespace).
		WithLabels(jobLabels(job)).
		WithAnnotations(annotations(job, digest)).
		WithOwnerReferences(ownerReference(job)).
		WithSpec(spec)}
}

func digestOfValue(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		// Apply configurations are plain data.
		panic(err)
	}
	return digestOf(text)
}

func digestOf(text []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(text)) }
