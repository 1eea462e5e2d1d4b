package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"temper.dev/bench/operator/peer/api"
	"temper.dev/bench/operator/peer/objects"
	"temper.dev/bench/operator/peer/status"
)

// FieldManager of what is applied.
const FieldManager = "temper-operator"

const (
	lookAround = 30 * time.Second
	conflicted = 200 * time.Millisecond
)

// Reconciler brings jobs a step further.
type Reconciler struct {
	client.Client
	// Live reads past the cache.
	Live     client.Reader
	Recorder recorder.EventRecorder
	Scraper  *Scraper
	Settings objects.Settings
}

// Reconcile one job.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	job := &api.FineTuneJob{}
	if err := r.Get(ctx, request.NamespacedName, job); err != nil {
		if apierrors.IsNotFound(err) {
			r.Scraper.Forget(request.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !job.DeletionTimestamp.IsZero() || status.IsFinished(job) {
		r.Scraper.Forget(request.NamespacedName)
		return ctrl.Result{}, nil
	}
	observed, pods, err := r.observe(ctx, job)
	if err != nil {
		return ctrl.Result{}, err
	}
	stage := observed.Stage()
	switch {
	case stage != "" && observed.TryOf(stage).Failure == "":
		if err := r.ensure(ctx, job, stage); err != nil {
			return ctrl.Result{}, err
		}
		observed.TryOf(stage).Started = true
	case stage == "" && job.Spec.Output.Register != nil:
		if observed.Registered, err = r.register(ctx, job, observed); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err := r.report(ctx, job, status.Of(job, observed, now())); err != nil {
		if apierrors.IsConflict(err) {
			return ctrl.Result{RequeueAfter: conflicted}, nil
		}
		return ctrl.Result{}, err
	}
	r.watchTrainers(request.NamespacedName, stage, pods)
	if stage == "" {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: lookAround}, nil
}

// report writes the status if it changed, and then tells the events.
func (r *Reconciler) report(ctx context.Context, job *api.FineTuneJob, after api.FineTuneJobStatus) error {
	if equality.Semantic.DeepEqual(job.Status, after) {
		return nil
	}
	before := job.DeepCopy()
	job.Status = after
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Status().Patch(ctx, job, patch, client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("write the status of FineTuneJob %s/%s: %w", job.Namespace, job.Name, err)
	}
	r.tell(job, &before.Status, &after)
	return nil
}

func (r *Reconciler) tell(job *api.FineTuneJob, before, after *api.FineTuneJobStatus) {
	was, is := meta.FindStatusCondition(before.Conditions, status.Ready), meta.FindStatusCondition(after.Conditions, status.Ready)
	if is != nil && (was == nil || was.Reason != is.Reason) {
		kind := corev1.EventTypeNormal
		if meta.IsStatusConditionTrue(after.Conditions, status.Failed) {
			kind = corev1.EventTypeWarning
		}
		r.Recorder.Eventf(job, nil, kind, is.Reason, "Reconcile", "%s", is.Message)
	}
	registered := meta.IsStatusConditionTrue(after.Conditions, status.ModelRegistered)
	if registered && !meta.IsStatusConditionTrue(before.Conditions, status.ModelRegistered) {
		r.Recorder.Eventf(job, nil, corev1.EventTypeNormal, "Registered", "Reconcile", "the model is registered as %s", after.ModelVersion.Name)
	}
}

// now in whole seconds, as Kubernetes keeps times.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
