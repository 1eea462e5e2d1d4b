package controller

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"temper.dev/bench/operator/peer/api"
	"temper.dev/bench/operator/peer/objects"
	"temper.dev/bench/operator/peer/status"
)

// register enters the published model in the registry. The version's number is taken by making the object: who comes second takes the
// next one.
func (r *Reconciler) register(ctx context.Context, job *api.FineTuneJob, observed *status.Observed) (*api.ModelVersion, error) {
	model := job.Spec.Output.Register.ModelName
	var versions api.ModelVersionList
	ofModel := client.MatchingFields{versionsByModel: model}
	if err := r.List(ctx, &versions, client.InNamespace(job.Namespace), ofModel, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list the versions of %s: %w", model, err)
	}
	next := int64(1)
	for index := range versions.Items {
		version := &versions.Items[index]
		if isOwn(version, job, observed) {
			return version, nil
		}
		next = max(next, version.Spec.Version+1)
	}
	if err := r.keepClaim(ctx, job); err != nil {
		return nil, err
	}
	for ; ; next++ {
		version, err := modelVersion(job, observed, next)
		if err != nil {
			return nil, err
		}
		err = r.Create(ctx, version, client.FieldOwner(FieldManager))
		if err == nil {
			return version, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("create ModelVersion %s/%s: %w", version.Namespace, version.Name, err)
		}
		there := &api.ModelVersion{}
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(version), there); err != nil {
			return nil, fmt.Errorf("get ModelVersion %s/%s: %w", version.Namespace, version.Name, err)
		}
		if isOwn(there, job, observed) {
			return there, nil
		}
	}
}

func isOwn(version *api.ModelVersion, job *api.FineTuneJob, observed *status.Observed) bool {
	source := version.Spec.SourceRef
	return source != nil && source.UID == string(job.UID) && version.Spec.Digest == observed.Publish.Report.Published.Digest
}

// keepClaim lets the claim that the model lies on outlive the job.
func (r *Reconciler) keepClaim(ctx context.Context, job *api.FineTuneJob) error {
	name := objects.ClaimName(job.Name)
	found, err := r.metadata(ctx, objects.ClaimKind, job.Namespace, name)
	if found == nil || err != nil {
		return err
	}
	claim := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: job.Namespace, Name: name}}
	claim.SetGroupVersionKind(objects.ClaimKind)
	orphan := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"ownerReferences":null}}`))
	if err := r.Patch(ctx, claim, orphan); err != nil {
		return fmt.Errorf("keep PersistentVolumeClaim %s/%s for the model: %w", job.Namespace, name, err)
	}
	return nil
}

func modelVersion(job *api.FineTuneJob, observed *status.Observed, number int64) (*api.ModelVersion, error) {
	settled, err := objects.SettledOf(job)
	if err != nil {
		return nil, err
	}
	register, given := job.Spec.Output.Register, &job.Spec.Hyperparameters
	prepared, published := observed.Prepare.Report.Prepared, observed.Publish.Report.Published
	settings := map[string]string{
		"learningRate":            strconv.FormatFloat(settled.LearningRate, 'f', -1, 64),
		"perDeviceTrainBatchSize": strconv.FormatInt(given.PerDeviceTrainBatchSize, 10),
		"microBatchesPerStep":     strconv.FormatInt(settled.MicroBatchesPerStep, 10),
		"numTrainEpochs":          strconv.FormatInt(settled.NumTrainEpochs, 10),
		"seed":                    strconv.FormatInt(given.Seed, 10),
	}
	if given.MaxSteps != nil {
		settings["maxSteps"] = strconv.FormatInt(*given.MaxSteps, 10)
	}
	if lora := job.Spec.Method.Lora; lora != nil {
		settings["r"] = strconv.FormatInt(lora.R, 10)
		settings["loraAlpha"] = strconv.FormatInt(lora.LoraAlpha, 10)
		settings["targetModules"] = strings.Join(lora.TargetModules, ",")
	}
	return &api.ModelVersion{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: job.Namespace,
			Name:      fmt.Sprintf("%s-v%d", register.ModelName, number),
			Labels: map[string]string{
				"temper.dev/model-name":    register.ModelName,
				"temper.dev/model-version": strconv.FormatInt(number, 10),
				objects.JobNameLabel:       job.Name,
				objects.ManagedBy:          objects.Manager,
			},
		},
		Spec: api.ModelVersionSpec{
			ModelName: register.ModelName, Version: number, URI: observed.ModelURI, Digest: published.Digest, Format: published.Format,
			BaseModel:          &api.BaseModelReference{URI: job.Spec.BaseModel.StorageURI, Digest: prepared.BaseModelDigest},
			ChatTemplateDigest: prepared.ChatTemplateDigest,
			TrainingConfig:     settings,
			Metrics:            measured(observed.Train.Report.Trained),
			SourceRef:          &api.SourceReference{Kind: "FineTuneJob", Name: job.Name, UID: string(job.UID)},
			Stage:              register.Stage,
		},
	}, nil
}

func measured(trained *status.Trained) map[string]string {
	metrics := map[string]string{}
	set := func(name string, number *float64) {
		if number != nil {
			if text := status.Decimal(*number); text != "" {
				metrics[name] = text
			}
		}
	}
	set("trainingLoss", trained.TrainingLoss)
	if trained.Validation != nil && trained.Validation.After != nil {
		perplexity := math.Exp(*trained.Validation.After)
		set("validationLoss", trained.Validation.After)
		set("validationPerplexity", &perplexity)
	}
	return metrics
}
