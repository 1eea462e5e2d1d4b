package status

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"temper.dev/bench/operator/peer/api"
	"temper.dev/bench/operator/peer/objects"
)

// Condition types.
const (
	Ready           = "Ready"
	Complete        = "Complete"
	Failed          = "Failed"
	ModelRegistered = "ModelRegistered"
)

// conditions of a job; a condition whose status is the same as before keeps its time.
func conditions(job *api.FineTuneJob, observed *Observed, now time.Time) []metav1.Condition {
	word, sentence := headline(job, observed)
	stage := observed.Stage()
	complete, failed := word == Complete, observed.failure() != ""
	var all []metav1.Condition
	set := func(kind string, holds bool, reason, message string) {
		condition := metav1.Condition{
			Type: kind, Status: metav1.ConditionFalse, ObservedGeneration: job.Generation,
			LastTransitionTime: metav1.NewTime(now), Reason: reason, Message: message,
		}
		if holds {
			condition.Status = metav1.ConditionTrue
		}
		if before := meta.FindStatusCondition(job.Status.Conditions, kind); before != nil && before.Status == condition.Status {
			condition.LastTransitionTime = before.LastTransitionTime
		}
		all = append(all, condition)
	}
	set(Ready, complete, word, sentence)
	set("Reconciling", !complete && !failed, word, sentence)
	if failed {
		set("Stalled", true, word, sentence)
	} else {
		set("Stalled", false, "NoFailure", "nothing is in the way")
	}
	if report := observed.Prepare.Report; report != nil && report.Prepared != nil {
		set("DataReady", true, "Prepared", countsMessage(&report.Prepared.Counts))
	} else {
		set("DataReady", false, word, sentence)
	}
	switch {
	case stage == objects.Train && !failed:
		set("Running", true, word, sentence)
	case observed.Train.Report != nil:
		set("Running", false, "Trained", "training is done")
	default:
		set("Running", false, "NotRunning", "no training process runs at the moment")
	}
	set("Suspended", false, word, "the job is not suspended")
	set(Complete, complete, word, sentence)
	if failed {
		set(Failed, true, word, sentence)
	} else {
		set(Failed, false, "NoFailure", "the job has not failed")
	}
	switch {
	case job.Spec.Output.Register == nil:
		set(ModelRegistered, false, "NotRequested", "the spec has no output.register")
	case observed.Registered != nil:
		set(ModelRegistered, true, "Registered", "registered as "+observed.Registered.Name)
	default:
		set(ModelRegistered, false, "Pending", "the model is registered when it is published")
	}
	return all
}

// headline is the one-word state and the sentence that says it.
func headline(job *api.FineTuneJob, observed *Observed) (string, string) {
	if failure := observed.failure(); failure != "" {
		return "Unexpected", failure
	}
	switch observed.Stage() {
	case objects.Prepare:
		return "Preparing", "the dataset is being filtered and tokenised"
	case objects.Train:
		trainer := &job.Spec.Trainer
		return "Training", fmt.Sprintf("attempt 0 trains on %d x %d processes", trainer.NumNodes, trainer.NumProcPerNode)
	case objects.Publish:
		return "Publishing", "the model is being written and checked"
	}
	if job.Spec.Output.Register != nil && observed.Registered == nil {
		return "Registering", "the model is being entered in the registry"
	}
	return Complete, "the model is trained and published"
}

func (o *Observed) failure() string {
	for _, try := range []*Try{&o.Prepare, &o.Train, &o.Publish} {
		if try.Failure != "" {
			return try.Failure
		}
	}
	return ""
}

func countsMessage(counts *Counts) string {
	var rejected int64
	for _, rejection := range counts.Rejected {
		rejected += rejection.Count
	}
	return fmt.Sprintf("%d rows read, %d accepted, %d left out, %d tokens", counts.Rows, counts.Accepted, rejected, counts.Tokens)
}

// IsFinished tells whether nothing is to be done about a job any more.
func IsFinished(job *api.FineTuneJob) bool {
	return meta.IsStatusConditionTrue(job.Status.Conditions, Complete) || meta.IsStatusConditionTrue(job.Status.Conditions, Failed)
}
