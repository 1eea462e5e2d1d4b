package status

import (
	"fmt"
	"math"
	"path"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"temper.dev/bench/operator/peer/api"
	"temper.dev/bench/operator/peer/objects"
)

// Try is what has become of a stage's try.
type Try struct {
	// Started once its Job was applied.
	Started bool
	// Report once it is done.
	Report *Report
	// FinishedAt is when.
	FinishedAt time.Time
	// Failure says why it will not be done.
	Failure string
}

// Observed is everything that a status is made of besides the job.
type Observed struct {
	Prepare, Train, Publish Try
	Progress                *Progress
	CheckpointURI           func(attempt, step int64) string
	ModelURI                string
	Registered              *api.ModelVersion
}

// Stage is the first that is not done; empty once all are.
func (o *Observed) Stage() string {
	switch {
	case o.Prepare.Report == nil:
		return objects.Prepare
	case o.Train.Report == nil:
		return objects.Train
	case o.Publish.Report == nil:
		return objects.Publish
	default:
		return ""
	}
}

// TryOf is a stage's.
func (o *Observed) TryOf(stage string) *Try {
	switch stage {
	case objects.Prepare:
		return &o.Prepare
	case objects.Train:
		return &o.Train
	default:
		return &o.Publish
	}
}

// Of is the status to write.
func Of(job *api.FineTuneJob, observed *Observed, now time.Time) api.FineTuneJobStatus {
	status := *job.Status.DeepCopy()
	status.ObservedGeneration = job.Generation
	status.Conditions = conditions(job, observed, now)
	if observed.Train.Started {
		status.Attempt = new(int64)
	}
	if observed.Progress != nil {
		status.TrainerStatus = observed.Progress.status()
		if step := observed.Progress.CheckpointStep; step > 0 {
			status.Checkpoint = &api.CheckpointStatus{Step: step, URI: observed.CheckpointURI(observed.Progress.CheckpointAttempt, step)}
		}
	}
	status.Attempts = attempts(job, observed, now)
	if report := observed.Prepare.Report; report != nil && report.Prepared != nil {
		prepared(&status, report.Prepared)
	}
	if report := observed.Train.Report; report != nil && report.Trained != nil {
		status.Result = trained(report.Trained)
		if attempt, step, ok := checkpointOf(report.Trained.Checkpoint); ok {
			status.Checkpoint = &api.CheckpointStatus{Step: step, URI: observed.CheckpointURI(attempt, step)}
		}
	}
	if report := observed.Publish.Report; report != nil && report.Published != nil {
		status.ModelVersion = &api.ModelVersionReference{
			URI: observed.ModelURI, Digest: report.Published.Digest, Format: report.Published.Format,
		}
		if version := observed.Registered; version != nil {
			status.ModelVersion.Name, status.ModelVersion.Version = version.Name, version.Spec.Version
		}
	}
	return status
}

func prepared(status *api.FineTuneJobStatus, report *Prepared) {
	status.BaseModel = &api.BaseModelStatus{Digest: report.BaseModelDigest, MemoryEstimateBytes: report.MemoryEstimateBytes}
	percent := 100 * float64(report.Parameters.Trainable) / float64(max(1, report.Parameters.Total))
	status.Parameters = &api.Parameters{
		Total: report.Parameters.Total, Trainable: report.Parameters.Trainable, TrainablePercent: Decimal(percent),
	}
	rejected := make(map[string]int64, len(report.Counts.Rejected))
	for reason, rejection := range report.Counts.Rejected {
		rejected[reason] = rejection.Count
	}
	status.Dataset = &api.DatasetCounts{
		Rows: report.Counts.Rows, Accepted: report.Counts.Accepted, Validation: report.Counts.Validation, Rejected: rejected,
		Tokens: report.Counts.Tokens, Digest: report.Digest, ChatTemplateDigest: report.ChatTemplateDigest,
	}
}

func trained(report *Trained) *api.TrainingResult {
	result := &api.TrainingResult{
		Step: report.Step, Reason: report.Reason, TrainingLoss: optional(report.TrainingLoss),
		Tokens: report.Tokens, TokensPerSecond: Decimal(report.TokensPerSecond),
		Seconds: int64(math.Round(report.Seconds)), PeakMemoryBytes: report.PeakMemoryBytes,
	}
	if report.Validation != nil {
		result.ValidationLossBefore, result.ValidationLossAfter = optional(report.Validation.Before), optional(report.Validation.After)
	}
	return result
}

// checkpointOf is the attempt and the step of a checkpoint, by its folder.
func checkpointOf(folder string) (attempt, step int64, ok bool) {
	parent, name := path.Split(folder)
	_, err := fmt.Sscanf(path.Base(parent)+"/"+name, "attempt-%d/step-%d", &attempt, &step)
	return attempt, step, err == nil
}

// attempts is the ledger: what is in it is remembered when pods and Jobs are gone.
func attempts(job *api.FineTuneJob, observed *Observed, now time.Time) []api.AttemptStatus {
	var all []api.AttemptStatus
	for _, stage := range []string{objects.Prepare, objects.Train, objects.Publish} {
		try := observed.TryOf(stage)
		if !try.Started {
			continue
		}
		entry := api.AttemptStatus{Stage: stage, StartedAt: metav1.NewTime(now)}
		if known := Recorded(&job.Status, stage); known != nil {
			entry = *known
		}
		if try.Report != nil && entry.End == "" {
			finished := metav1.NewTime(try.FinishedAt)
			entry.End, entry.FinishedAt = "Succeeded", &finished
		}
		all = append(all, entry)
	}
	return all
}

// Recorded is the ledger's entry of a stage's try; nil if there is none.
func Recorded(status *api.FineTuneJobStatus, stage string) *api.AttemptStatus {
	for index := range status.Attempts {
		if status.Attempts[index].Stage == stage {
			return &status.Attempts[index]
		}
	}
	return nil
}
