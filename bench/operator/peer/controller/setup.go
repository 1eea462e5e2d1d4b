// Package controller carries out FineTuneJobs: observe, ensure, report.
package controller

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"temper.dev/bench/operator/peer/api"
	"temper.dev/bench/operator/peer/objects"
)

const (
	podsByJob       = "temper.dev/job-name"
	versionsByModel = "spec.modelName"
)

// CacheOptions keep what belongs to jobs in one namespace, without what only servers read of it.
func CacheOptions(namespace string) (cache.Options, error) {
	managed, err := labels.NewRequirement(objects.ManagedBy, selection.Equals, []string{objects.Manager})
	if err != nil {
		return cache.Options{}, err
	}
	named, err := labels.NewRequirement(objects.JobNameLabel, selection.Exists, nil)
	if err != nil {
		return cache.Options{}, err
	}
	ofJobs := cache.ByObject{Label: labels.NewSelector().Add(*managed, *named)}
	return cache.Options{
		DefaultNamespaces: map[string]cache.Config{namespace: {}},
		DefaultTransform:  cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&batchv1.Job{}:                  ofJobs,
			&corev1.Pod{}:                   ofJobs,
			&corev1.ConfigMap{}:             ofJobs,
			&corev1.Service{}:               ofJobs,
			&corev1.PersistentVolumeClaim{}: ofJobs,
			&networkingv1.NetworkPolicy{}:   ofJobs,
		},
	}, nil
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(ctx context.Context, manager ctrl.Manager, concurrency int) error {
	indexer := manager.GetFieldIndexer()
	if err := indexer.IndexField(ctx, &corev1.Pod{}, podsByJob, func(object client.Object) []string {
		return []string{object.GetLabels()[objects.JobNameLabel]}
	}); err != nil {
		return fmt.Errorf("index pods by job: %w", err)
	}
	if err := indexer.IndexField(ctx, &api.ModelVersion{}, versionsByModel, func(object client.Object) []string {
		return []string{object.(*api.ModelVersion).Spec.ModelName}
	}); err != nil {
		return fmt.Errorf("index versions by model: %w", err)
	}
	// That one is there changes nothing; that one is missing does.
	whenDeleted := builder.WithPredicates(predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(event.UpdateEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	})
	return ctrl.NewControllerManagedBy(manager).
		For(&api.FineTuneJob{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&batchv1.Job{}).
		Owns(&corev1.ConfigMap{}, builder.OnlyMetadata, whenDeleted).
		Owns(&corev1.Service{}, builder.OnlyMetadata, whenDeleted).
		Owns(&corev1.PersistentVolumeClaim{}, builder.OnlyMetadata, whenDeleted).
		Owns(&networkingv1.NetworkPolicy{}, builder.OnlyMetadata, whenDeleted).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(jobOf)).
		WatchesRawSource(source.Channel(r.Scraper.News(), &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(r)
}

// jobOf is the job that a pod belongs to; its owner is a Job.
func jobOf(_ context.Context, pod client.Object) []reconcile.Request {
	name := pod.GetLabels()[objects.JobNameLabel]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: pod.GetNamespace(), Name: name}}}
}
