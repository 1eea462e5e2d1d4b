package controller

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"temper.dev/bench/operator/peer/api"
	"temper.dev/bench/operator/peer/objects"
	"temper.dev/bench/operator/peer/status"
)

// observe gathers what the caches and the trainers show. The pods are the cache's own: they are only read.
func (r *Reconciler) observe(ctx context.Context, job *api.FineTuneJob) (*status.Observed, []corev1.Pod, error) {
	places, err := objects.PlacesOf(job)
	if err != nil {
		return nil, nil, err
	}
	var pods corev1.PodList
	ofJob := client.MatchingFields{podsByJob: job.Name}
	if err := r.List(ctx, &pods, client.InNamespace(job.Namespace), ofJob, client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, fmt.Errorf("list the pods of %s/%s: %w", job.Namespace, job.Name, err)
	}
	observed := &status.Observed{CheckpointURI: places.CheckpointURI, ModelURI: places.ModelURI()}
	for _, stage := range []string{objects.Prepare, objects.Train, objects.Publish} {
		try, err := r.try(ctx, job, stage, pods.Items)
		if err != nil {
			return nil, nil, err
		}
		*observed.TryOf(stage) = try
		if try.Report == nil {
			break
		}
	}
	if observed.Stage() == objects.Train {
		observed.Progress = r.Scraper.Latest(client.ObjectKeyFromObject(job))
	}
	return observed, pods.Items, nil
}

func (r *Reconciler) try(ctx context.Context, job *api.FineTuneJob, stage string, pods []corev1.Pod) (status.Try, error) {
	recorded := status.Recorded(&job.Status, stage)
	if recorded != nil && recorded.End != "" {
		return status.Try{Started: true, Report: status.Remembered(&job.Status, stage), FinishedAt: recorded.FinishedAt.Time}, nil
	}
	batchJob := &batchv1.Job{}
	key := types.NamespacedName{Namespace: job.Namespace, Name: objects.JobName(job.Name, stage)}
	if err := r.Get(ctx, key, batchJob, client.UnsafeDisableDeepCopy); err != nil {
		if apierrors.IsNotFound(err) {
			return status.Try{Started: recorded != nil}, nil
		}
		return status.Try{}, err
	}
	if !metav1.IsControlledBy(batchJob, job) {
		return status.Try{}, fmt.Errorf("the Job %s belongs to something else", key)
	}
	try := status.Try{Started: true}
	switch {
	case holds(batchJob, batchv1.JobComplete) || holds(batchJob, batchv1.JobSuccessCriteriaMet):
		try.Report, try.FinishedAt = reportOf(batchJob, pods)
		if try.Report == nil {
			try.Failure = fmt.Sprintf("the Job %s is complete and left no report", batchJob.Name)
		}
	case holds(batchJob, batchv1.JobFailed):
		try.Failure = fmt.Sprintf("the Job %s failed", batchJob.Name)
	}
	return try, nil
}

func holds(job *batchv1.Job, kind batchv1.JobConditionType) bool {
	for _, condition := range job.Status.Conditions {
		if condition.Type == kind {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// reportOf is the last word of the pod that speaks for a Job, and when the last pod ended.
func reportOf(job *batchv1.Job, pods []corev1.Pod) (*status.Report, time.Time) {
	var (
		report *status.Report
		last   time.Time
	)
	for index := range pods {
		pod := &pods[index]
		if !metav1.IsControlledBy(pod, job) || len(pod.Status.ContainerStatuses) == 0 {
			continue
		}
		terminated := pod.Status.ContainerStatuses[0].State.Terminated
		if terminated == nil {
			continue
		}
		if terminated.FinishedAt.After(last) {
			last = terminated.FinishedAt.Time
		}
		if said, ok := status.ParseReport(terminated.Message); ok && report == nil {
			report = &said
		}
	}
	return report, last
}

// watchTrainers has rank 0 of the running attempt scraped, and nothing else.
func (r *Reconciler) watchTrainers(job types.NamespacedName, stage string, pods []corev1.Pod) {
	if stage == objects.Train {
		for index := range pods {
			pod := &pods[index]
			first := pod.Labels[objects.StageLabel] == objects.Train && pod.Annotations[batchv1.JobCompletionIndexAnnotation] == "0"
			if first && pod.Status.Phase == corev1.PodRunning && pod.Status.PodIP != "" {
				r.Scraper.Watch(job, net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(objects.MetricsPort)))
				return
			}
		}
	}
	r.Scraper.Forget(job)
}
