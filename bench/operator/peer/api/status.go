package api

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FineTuneJobStatus is what has become of a job.
type FineTuneJobStatus struct {
	ObservedGeneration int64                  `json:"observedGeneration,omitempty"`
	Conditions         []metav1.Condition     `json:"conditions,omitempty"`
	Attempt            *int64                 `json:"attempt,omitempty"`
	TrainerStatus      *TrainerStatus         `json:"trainerStatus,omitempty"`
	Parameters         *Parameters            `json:"parameters,omitempty"`
	Dataset            *DatasetCounts         `json:"dataset,omitempty"`
	BaseModel          *BaseModelStatus       `json:"baseModel,omitempty"`
	Result             *TrainingResult        `json:"result,omitempty"`
	Attempts           []AttemptStatus        `json:"attempts,omitempty"`
	Checkpoint         *CheckpointStatus      `json:"checkpoint,omitempty"`
	Restarts           int64                  `json:"restarts"`
	ModelVersion       *ModelVersionReference `json:"modelVersion,omitempty"`
}

// AttemptStatus is one try at a stage.
type AttemptStatus struct {
	Stage      string       `json:"stage"`
	Number     int64        `json:"number"`
	StartedAt  metav1.Time  `json:"startedAt"`
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
	End        string       `json:"end,omitempty"`
}

// TrainerStatus is how far training is.
type TrainerStatus struct {
	Step                      int64          `json:"step"`
	TotalSteps                int64          `json:"totalSteps"`
	Epoch                     string         `json:"epoch,omitempty"`
	ProgressPercentage        int64          `json:"progressPercentage"`
	EstimatedRemainingSeconds *int64         `json:"estimatedRemainingSeconds,omitempty"`
	EstimatedRemaining        string         `json:"estimatedRemaining,omitempty"`
	Metrics                   TrainerMetrics `json:"metrics"`
	LastUpdatedTime           *metav1.Time   `json:"lastUpdatedTime,omitempty"`
}

// TrainerMetrics are the last step's.
type TrainerMetrics struct {
	TrainingLoss    string `json:"trainingLoss,omitempty"`
	ValidationLoss  string `json:"validationLoss,omitempty"`
	LearningRate    string `json:"learningRate,omitempty"`
	GradientNorm    string `json:"gradientNorm,omitempty"`
	TokensPerSecond string `json:"tokensPerSecond,omitempty"`
	GPUMemoryBytes  *int64 `json:"gpuMemoryBytes,omitempty"`
}

// Parameters of the model in training.
type Parameters struct {
	Total            int64  `json:"total"`
	Trainable        int64  `json:"trainable"`
	TrainablePercent string `json:"trainablePercent"`
}

// DatasetCounts are rows by fate.
type DatasetCounts struct {
	Rows               int64            `json:"rows"`
	Accepted           int64            `json:"accepted"`
	Validation         int64            `json:"validation"`
	Rejected           map[string]int64 `json:"rejected"`
	Tokens             int64            `json:"tokens"`
	Digest             string           `json:"digest,omitempty"`
	ChatTemplateDigest string           `json:"chatTemplateDigest,omitempty"`
}

// BaseModelStatus is what is known of the base model.
type BaseModelStatus struct {
	Digest              string `json:"digest"`
	MemoryEstimateBytes int64  `json:"memoryEstimateBytes"`
}

// TrainingResult is what training came to.
type TrainingResult struct {
	Step                 int64  `json:"step"`
	Reason               string `json:"reason"`
	TrainingLoss         string `json:"trainingLoss,omitempty"`
	ValidationLossBefore string `json:"validationLossBefore,omitempty"`
	ValidationLossAfter  string `json:"validationLossAfter,omitempty"`
	Tokens               int64  `json:"tokens"`
	TokensPerSecond      string `json:"tokensPerSecond,omitempty"`
	Seconds              int64  `json:"seconds"`
	PeakMemoryBytes      int64  `json:"peakMemoryBytes"`
}

// CheckpointStatus is the newest checkpoint.
type CheckpointStatus struct {
	Step int64  `json:"step"`
	URI  string `json:"uri"`
}

// ModelVersionReference is the published model.
type ModelVersionReference struct {
	Name    string `json:"name,omitempty"`
	Version int64  `json:"version,omitempty"`
	URI     string `json:"uri"`
	Digest  string `json:"digest"`
	Format  string `json:"format,omitempty"`
}
