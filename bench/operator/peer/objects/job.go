package objects

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"

	"temper.dev/bench/operator/peer/api"
)

func batchJob(job *api.FineTuneJob, places Places, settings Settings, stage string) *batchv1ac.JobApplyConfiguration {
	pods, mode := int32(1), batchv1.NonIndexedCompletion
	if stage == Train {
		pods, mode = int32(job.Spec.Trainer.NumNodes), batchv1.IndexedCompletion
	}
	return batchv1ac.Job(JobName(job.Name, stage), job.Namespace).
		WithLabels(stageLabels(job, stage)).
		WithAnnotations(annotations(job, "")).
		WithOwnerReferences(ownerReference(job)).
		WithSpec(batchv1ac.JobSpec().
			WithBackoffLimit(0).
			WithCompletionMode(mode).WithCompletions(pods).WithParallelism(pods).
			WithPodReplacementPolicy(batchv1.Failed).
			WithPodFailurePolicy(podFailurePolicy()).
			WithTemplate(podTemplate(job, places, settings, stage)))
}

// podFailurePolicy ends the try at any failure; which rule matched tells what it was.
func podFailurePolicy() *batchv1ac.PodFailurePolicyApplyConfiguration {
	exit := func(operator batchv1.PodFailurePolicyOnExitCodesOperator, codes ...int32) *batchv1ac.PodFailurePolicyRuleApplyConfiguration {
		return batchv1ac.PodFailurePolicyRule().WithAction(batchv1.PodFailurePolicyActionFailJob).
			WithOnExitCodes(batchv1ac.PodFailurePolicyOnExitCodesRequirement().
				WithContainerName(container).WithOperator(operator).WithValues(codes...))
	}
	disrupted := batchv1ac.PodFailurePolicyOnPodConditionsPattern().WithType(corev1.DisruptionTarget).WithStatus(corev1.ConditionTrue)
	return batchv1ac.PodFailurePolicy().WithRules(
		batchv1ac.PodFailurePolicyRule().WithAction(batchv1.PodFailurePolicyActionFailJob).WithOnPodConditions(disrupted),
		exit(batchv1.PodFailurePolicyOnExitCodesOpIn, 2, 10, 11, 15),
		exit(batchv1.PodFailurePolicyOnExitCodesOpIn, 16),
		exit(batchv1.PodFailurePolicyOnExitCodesOpNotIn, 0),
	)
}
