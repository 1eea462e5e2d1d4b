// Package objects builds what a job's stages need, as apply configurations.
package objects

import (
	"fmt"

	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"temper.dev/bench/operator/peer/api"
)

// Stages of a job.
const (
	Prepare = "prepare"
	Train   = "train"
	Publish = "publish"
)

// Labels and annotations.
const (
	JobNameLabel  = "temper.dev/job-name"
	JobUID        = "temper.dev/job-uid"
	StageLabel    = "temper.dev/stage"
	AttemptLabel  = "temper.dev/attempt"
	ManagedBy     = "app.kubernetes.io/managed-by"
	Manager       = "temper"
	ContentDigest = "temper.dev/content-digest"
)

// Ports of training pods.
const (
	rendezvousPort = 29500
	// MetricsPort is rank 0's.
	MetricsPort = 9400
)

// Settings are what the operator is configured with and jobs do not say.
type Settings struct {
	TrainerImage      string
	RunVolumeSize     string
	OperatorNamespace string
}

// JobName is the name of the Job of a stage's first try; the peer makes no other.
func JobName(job, stage string) string {
	if stage == Train {
		return job + "-a0"
	}
	return job + "-" + stage + "-0"
}

// ClaimName is the name of the claim of a job that names none for its checkpoints.
func ClaimName(job string) string { return job + "-run" }

func configMapName(job string) string { return job + "-trainer" }
func ranksName(job string) string     { return job + "-ranks" }
func transferName(job string) string  { return job + "-transfer" }

// RunName is the job's own folder wherever it writes.
func RunName(job *api.FineTuneJob) string {
	return fmt.Sprintf("%s-%.8s", job.Name, job.UID)
}

func jobLabels(job *api.FineTuneJob) map[string]string {
	return map[string]string{JobNameLabel: job.Name, ManagedBy: Manager}
}

func stageLabels(job *api.FineTuneJob, stage string) map[string]string {
	labels := jobLabels(job)
	labels[StageLabel] = stage
	labels[AttemptLabel] = "0"
	return labels
}

// annotations of what is made for a job; the digest is empty for what cannot be changed once it is made.
func annotations(job *api.FineTuneJob, digest string) map[string]string {
	all := map[string]string{JobUID: string(job.UID)}
	if digest != "" {
		all[ContentDigest] = digest
	}
	return all
}

func trainingPods(job *api.FineTuneJob) *metav1ac.LabelSelectorApplyConfiguration {
	return metav1ac.LabelSelector().WithMatchLabels(map[string]string{JobNameLabel: job.Name, StageLabel: Train})
}

func ownerReference(job *api.FineTuneJob) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(api.GroupVersion.String()).WithKind("FineTuneJob").
		WithName(job.Name).WithUID(job.UID).
		WithController(true).WithBlockOwnerDeletion(true)
}
