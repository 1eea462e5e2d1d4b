package api

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ModelVersion is one version of a model in the registry.
//
// +kubebuilder:object:root=true
type ModelVersion struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ModelVersionSpec `json:"spec"`
}

// ModelVersionList is a list of them.
//
// +kubebuilder:object:root=true
type ModelVersionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ModelVersion `json:"items"`
}

// ModelVersionSpec is what a version is.
type ModelVersionSpec struct {
	ModelName          string              `json:"modelName"`
	Version            int64               `json:"version"`
	URI                string              `json:"uri"`
	Digest             string              `json:"digest"`
	Format             string              `json:"format"`
	BaseModel          *BaseModelReference `json:"baseModel,omitempty"`
	ChatTemplateDigest string              `json:"chatTemplateDigest,omitempty"`
	TrainingConfig     map[string]string   `json:"trainingConfig,omitempty"`
	Metrics            map[string]string   `json:"metrics,omitempty"`
	SourceRef          *SourceReference    `json:"sourceRef,omitempty"`
	Stage              string              `json:"stage,omitempty"`
}

// BaseModelReference is what was tuned.
type BaseModelReference struct {
	URI    string `json:"uri"`
	Digest string `json:"digest,omitempty"`
}

// SourceReference is what made it.
type SourceReference struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	UID  string `json:"uid,omitempty"`
}
