// Package api holds the Go types of temper.dev/v1alpha1, as far as the peer reads and writes them.
//
// +kubebuilder:object:generate=true
// +groupName=temper.dev
package api

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 object paths=.

// GroupVersion is the group and version of the types in this package.
var GroupVersion = schema.GroupVersion{Group: "temper.dev", Version: "v1alpha1"}

// AddToScheme registers the types.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &FineTuneJob{}, &FineTuneJobList{}, &ModelVersion{}, &ModelVersionList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
