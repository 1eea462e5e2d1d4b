package objects

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"temper.dev/bench/operator/peer/api"
)

func selector(labels map[string]string) *metav1ac.LabelSelectorApplyConfiguration {
	return metav1ac.LabelSelector().WithMatchLabels(labels)
}

func oneOf(key string, values ...string) *metav1ac.LabelSelectorRequirementApplyConfiguration {
	return metav1ac.LabelSelectorRequirement().WithKey(key).WithOperator(metav1.LabelSelectorOpIn).WithValues(values...)
}

func port(protocol corev1.Protocol, number int) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol(protocol).WithPort(intstr.FromInt(number))
}

func policySpec() *networkingv1ac.NetworkPolicySpecApplyConfiguration {
	return networkingv1ac.NetworkPolicySpec().WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress)
}

// transferPolicy is of the pods that fetch and upload: they go anywhere and are reached by nobody.
func transferPolicy(job *api.FineTuneJob) *networkingv1ac.NetworkPolicySpecApplyConfiguration {
	pods := metav1ac.LabelSelector().
		WithMatchLabels(map[string]string{JobNameLabel: job.Name}).
		WithMatchExpressions(oneOf(StageLabel, Prepare, Publish))
	return policySpec().WithPodSelector(pods).WithEgress(networkingv1ac.NetworkPolicyEgressRule())
}

// ranksPolicy is of the training pods: they reach each other and the cluster's DNS, and the operator reads their metrics.
func ranksPolicy(job *api.FineTuneJob, settings Settings) *networkingv1ac.NetworkPolicySpecApplyConfiguration {
	peers := networkingv1ac.NetworkPolicyPeer().WithPodSelector(trainingPods(job))
	operator := networkingv1ac.NetworkPolicyPeer().
		WithNamespaceSelector(metav1ac.LabelSelector().WithMatchExpressions(oneOf(corev1.LabelMetadataName, settings.OperatorNamespace))).
		WithPodSelector(selector(map[string]string{"app.kubernetes.io/name": "temper"}))
	metrics := port(corev1.ProtocolTCP, MetricsPort)
	if world := job.Spec.Trainer.NumNodes * job.Spec.Trainer.NumProcPerNode; world > 1 {
		metrics.WithEndPort(MetricsPort + int32(world) - 1)
	}
	return policySpec().
		WithPodSelector(trainingPods(job)).
		WithIngress(
			networkingv1ac.NetworkPolicyIngressRule().WithFrom(peers),
			networkingv1ac.NetworkPolicyIngressRule().WithFrom(operator).WithPorts(metrics),
		).
		WithEgress(
			networkingv1ac.NetworkPolicyEgressRule().WithTo(peers),
			networkingv1ac.NetworkPolicyEgressRule().WithPorts(
				port(corev1.ProtocolUDP, 53), port(corev1.ProtocolTCP, 53),
				port(corev1.ProtocolUDP, 5353), port(corev1.ProtocolTCP, 5353),
			),
		)
}
