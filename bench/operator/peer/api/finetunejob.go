package api

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FineTuneJob fine-tunes one model on one dataset.
//
// +kubebuilder:object:root=true
type FineTuneJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   FineTuneJobSpec   `json:"spec"`
	Status FineTuneJobStatus `json:"status,omitempty"`
}

// FineTuneJobList is a list of them.
//
// +kubebuilder:object:root=true
type FineTuneJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FineTuneJob `json:"items"`
}

// FineTuneJobSpec is what is asked for. The API server has filled its defaults in.
type FineTuneJobSpec struct {
	Suspend                 bool            `json:"suspend,omitempty"`
	BaseModel               Location        `json:"baseModel"`
	Dataset                 Dataset         `json:"dataset"`
	Method                  Method          `json:"method"`
	Hyperparameters         Hyperparameters `json:"hyperparameters"`
	Evaluation              Evaluation      `json:"evaluation"`
	Trainer                 Trainer         `json:"trainer"`
	Checkpoint              Checkpoint      `json:"checkpoint"`
	FailurePolicy           FailurePolicy   `json:"failurePolicy"`
	ActiveDeadlineSeconds   *int64          `json:"activeDeadlineSeconds,omitempty"`
	TTLSecondsAfterFinished *int64          `json:"ttlSecondsAfterFinished,omitempty"`
	Output                  Output          `json:"output"`
}

// Location is where something lies.
type Location struct {
	StorageURI string                       `json:"storageUri"`
	Revision   *string                      `json:"revision,omitempty"`
	SecretRef  *corev1.LocalObjectReference `json:"secretRef,omitempty"`
}

// Dataset is what is trained on.
type Dataset struct {
	StorageURI           string                       `json:"storageUri"`
	SecretRef            *corev1.LocalObjectReference `json:"secretRef,omitempty"`
	Format               string                       `json:"format"`
	Validation           *Validation                  `json:"validation,omitempty"`
	ChatTemplate         string                       `json:"chatTemplate"`
	MaxLength            int64                        `json:"maxLength"`
	ExcessLengthStrategy string                       `json:"excessLengthStrategy"`
	Packing              bool                         `json:"packing"`
	Filters              Filters                      `json:"filters"`
}

// Validation is what is held out.
type Validation struct {
	Split      *string `json:"split,omitempty"`
	StorageURI *string `json:"storageUri,omitempty"`
}

// Filters say which rows are left out.
type Filters struct {
	MinLength           *int64  `json:"minLength,omitempty"`
	MaxLength           *int64  `json:"maxLength,omitempty"`
	ExactDeduplication  bool    `json:"exactDeduplication"`
	IncludePattern      *string `json:"includePattern,omitempty"`
	ExcludePattern      *string `json:"excludePattern,omitempty"`
	MaxRejectedFraction string  `json:"maxRejectedFraction"`
}

// Method is LoRA or full.
type Method struct {
	Type string `json:"type"`
	Lora *Lora  `json:"lora,omitempty"`
}

// Lora holds LoRA's settings.
type Lora struct {
	R             int64    `json:"r"`
	LoraAlpha     int64    `json:"loraAlpha"`
	LoraDropout   string   `json:"loraDropout"`
	TargetModules []string `json:"targetModules"`
	UseRslora     bool     `json:"useRslora"`
}

// Hyperparameters say how to train.
type Hyperparameters struct {
	NumTrainEpochs            *int64  `json:"numTrainEpochs,omitempty"`
	MaxSteps                  *int64  `json:"maxSteps,omitempty"`
	PerDeviceTrainBatchSize   int64   `json:"perDeviceTrainBatchSize"`
	GradientAccumulationSteps int64   `json:"gradientAccumulationSteps"`
	LearningRate              *string `json:"learningRate,omitempty"`
	LRSchedulerType           string  `json:"lrSchedulerType"`
	WarmupSteps               int64   `json:"warmupSteps"`
	WeightDecay               string  `json:"weightDecay"`
	AdamBeta1                 string  `json:"adamBeta1"`
	AdamBeta2                 string  `json:"adamBeta2"`
	AdamEpsilon               string  `json:"adamEpsilon"`
	MaxGradNorm               string  `json:"maxGradNorm"`
	Precision                 string  `json:"precision"`
	Seed                      int64   `json:"seed"`
}

// Evaluation says when to evaluate.
type Evaluation struct {
	EvalSteps              *int64 `json:"evalSteps,omitempty"`
	PerDeviceEvalBatchSize int64  `json:"perDeviceEvalBatchSize"`
	EarlyStoppingPatience  *int64 `json:"earlyStoppingPatience,omitempty"`
}

// Trainer says how many processes train, and on what.
type Trainer struct {
	Image            *string                     `json:"image,omitempty"`
	NumNodes         int64                       `json:"numNodes"`
	NumProcPerNode   int64                       `json:"numProcPerNode"`
	ResourcesPerNode corev1.ResourceRequirements `json:"resourcesPerNode,omitempty"`
}

// Checkpoint says when to save.
type Checkpoint struct {
	StorageURI     *string `json:"storageUri,omitempty"`
	SaveSteps      int64   `json:"saveSteps"`
	SaveTotalLimit int64   `json:"saveTotalLimit"`
}

// FailurePolicy says what to put up with.
type FailurePolicy struct {
	MaxRestarts         int64 `json:"maxRestarts"`
	StallTimeoutSeconds int64 `json:"stallTimeoutSeconds"`
}

// Output says what becomes of the model.
type Output struct {
	StorageURI   *string   `json:"storageUri,omitempty"`
	MergeAdapter bool      `json:"mergeAdapter"`
	Register     *Register `json:"register,omitempty"`
}

// Register asks for an entry in the registry.
type Register struct {
	ModelName string `json:"modelName"`
	Stage     string `json:"stage"`
}
