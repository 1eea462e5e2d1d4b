package controller

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"temper.dev/bench/operator/peer/api"
	"temper.dev/bench/operator/peer/objects"
)

// ensure makes what a stage needs, as far as it is not there.
func (r *Reconciler) ensure(ctx context.Context, job *api.FineTuneJob, stage string) error {
	hasJob, err := r.hasJob(ctx, job, stage)
	if err != nil {
		return err
	}
	if hasJob {
		whole, err := r.hasCompanions(ctx, job, stage)
		if err != nil || whole {
			return err
		}
	}
	wanted, err := objects.Of(job, r.Settings, stage)
	if err != nil {
		return err
	}
	for _, object := range wanted {
		done, err := r.isDone(ctx, job, object, hasJob)
		if err != nil {
			return err
		}
		if done {
			continue
		}
		if err := r.Apply(ctx, object.Apply, client.FieldOwner(FieldManager)); err != nil {
			return fmt.Errorf("apply %s %s/%s: %w", object.GVK.Kind, job.Namespace, object.Name, err)
		}
	}
	return nil
}

// isDone tells whether an object is there as it should be. A running try keeps the configuration that it was started with.
func (r *Reconciler) isDone(ctx context.Context, job *api.FineTuneJob, object objects.Object, hasJob bool) (bool, error) {
	if object.GVK == objects.JobKind {
		return hasJob, nil
	}
	found, err := r.metadata(ctx, object.GVK, job.Namespace, object.Name)
	if found == nil || err != nil {
		return false, err
	}
	return hasJob || object.Digest == "" || found.Annotations[objects.ContentDigest] == object.Digest, nil
}

func (r *Reconciler) hasJob(ctx context.Context, job *api.FineTuneJob, stage string) (bool, error) {
	key := types.NamespacedName{Namespace: job.Namespace, Name: objects.JobName(job.Name, stage)}
	err := r.Get(ctx, key, &batchv1.Job{}, client.UnsafeDisableDeepCopy)
	return err == nil, client.IgnoreNotFound(err)
}

func (r *Reconciler) hasCompanions(ctx context.Context, job *api.FineTuneJob, stage string) (bool, error) {
	for _, companion := range objects.Companions(job, stage) {
		found, err := r.metadata(ctx, companion.GVK, job.Namespace, companion.Name)
		if found == nil || err != nil {
			return false, err
		}
	}
	return true, nil
}

// metadata of an object by the cache, to be read only; nil if it is not there.
func (r *Reconciler) metadata(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (*metav1.PartialObjectMetadata, error) {
	found := &metav1.PartialObjectMetadata{}
	found.SetGroupVersionKind(kind)
	if err := r.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, found, client.UnsafeDisableDeepCopy); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, err
	}
	return found, nil
}
