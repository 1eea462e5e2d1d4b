package objects

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"temper.dev/bench/operator/peer/api"
)

// trainerConfig is the file that the trainer reads.
type trainerConfig struct {
	JobName          string          `json:"jobName"`
	RunFolder        string          `json:"runFolder"`
	CheckpointFolder string          `json:"checkpointFolder"`
	OutputFolder     string          `json:"outputFolder"`
	BaseModel        baseModel       `json:"baseModel"`
	Dataset          dataset         `json:"dataset"`
	Method           any             `json:"method"`
	Hyperparameters  hyperparameters `json:"hyperparameters"`
	Evaluation       evaluation      `json:"evaluation"`
	Parallelism      parallelism     `json:"parallelism"`
	Checkpoint       checkpoint      `json:"checkpoint"`
	Failure          failure         `json:"failure"`
	Output           map[string]bool `json:"output"`
}

type baseModel struct {
	Path string `json:"path"`
	URI  string `json:"uri"`
}

type dataset struct {
	Path                 string             `json:"path"`
	Format               string             `json:"format"`
	Validation           map[string]float64 `json:"validation"`
	ChatTemplate         any                `json:"chatTemplate"`
	MaxLength            int64              `json:"maxLength"`
	ExcessLengthStrategy string             `json:"excessLengthStrategy"`
	Packing              bool               `json:"packing"`
	Filters              filters            `json:"filters"`
	Seed                 int64              `json:"seed"`
}

type filters struct {
	MinLength           *int64  `json:"minLength"`
	MaxLength           *int64  `json:"maxLength"`
	ExactDeduplication  bool    `json:"exactDeduplication"`
	IncludePattern      *string `json:"includePattern"`
	ExcludePattern      *string `json:"excludePattern"`
	MaxRejectedFraction float64 `json:"maxRejectedFraction"`
}

type lora struct {
	R             int64    `json:"r"`
	LoraAlpha     float64  `json:"loraAlpha"`
	LoraDropout   float64  `json:"loraDropout"`
	TargetModules []string `json:"targetModules"`
	UseRslora     bool     `json:"useRslora"`
}

type hyperparameters struct {
	NumTrainEpochs          float64 `json:"numTrainEpochs"`
	MaxSteps                *int64  `json:"maxSteps"`
	PerDeviceTrainBatchSize int64   `json:"perDeviceTrainBatchSize"`
	LearningRate            float64 `json:"learningRate"`
	LRSchedulerType         string  `json:"lrSchedulerType"`
	WarmupSteps             int64   `json:"warmupSteps"`
	WeightDecay             float64 `json:"weightDecay"`
	AdamBeta1               float64 `json:"adamBeta1"`
	AdamBeta2               float64 `json:"adamBeta2"`
	AdamEpsilon             float64 `json:"adamEpsilon"`
	MaxGradNorm             float64 `json:"maxGradNorm"`
	Precision               string  `json:"precision"`
	Seed                    int64   `json:"seed"`
}

type evaluation struct {
	EvalSteps              *int64 `json:"evalSteps"`
	PerDeviceEvalBatchSize int64  `json:"perDeviceEvalBatchSize"`
	EarlyStoppingPatience  *int64 `json:"earlyStoppingPatience"`
}

type parallelism struct {
	NumNodes            int64  `json:"numNodes"`
	NumProcPerNode      int64  `json:"numProcPerNode"`
	ThreadsPerProc      int64  `json:"threadsPerProc"`
	MicroBatchesPerStep int64  `json:"microBatchesPerStep"`
	Device              string `json:"device"`
}

type checkpoint struct {
	SaveSteps      int64 `json:"saveSteps"`
	SaveTotalLimit int64 `json:"saveTotalLimit"`
}

type failure struct {
	MaxRestarts              int64 `json:"maxRestarts"`
	HeartbeatTimeoutSeconds  int64 `json:"heartbeatTimeoutSeconds"`
	StallTimeoutSeconds      int64 `json:"stallTimeoutSeconds"`
	MaxNonFiniteSteps        int64 `json:"maxNonFiniteSteps"`
	RendezvousTimeoutSeconds int64 `json:"rendezvousTimeoutSeconds"`
}

// decimals reads decimal texts; the first that is none is the error.
type decimals struct{ err error }

func (d *decimals) read(field, text string) float64 {
	number, err := strconv.ParseFloat(text, 64)
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("spec.%s: %q is not a number", field, text)
	}
	return number
}

// Threads of a process: the CPU limit divided among the node's processes.
func threads(job *api.FineTuneJob) int64 {
	cpu, ok := job.Spec.Trainer.ResourcesPerNode.Limits[corev1.ResourceCPU]
	if !ok {
		return 1
	}
	return max(1, cpu.MilliValue()/1000/max(1, job.Spec.Trainer.NumProcPerNode))
}

func learningRate(job *api.FineTuneJob, decimals *decimals) float64 {
	switch {
	case job.Spec.Hyperparameters.LearningRate != nil:
		return decimals.read("hyperparameters.learningRate", *job.Spec.Hyperparameters.LearningRate)
	case job.Spec.Method.Type == "full":
		return 2e-5
	default:
		return 2e-4
	}
}

// Settled are the settings that a registry entry repeats.
type Settled struct {
	LearningRate        float64
	MicroBatchesPerStep int64
	NumTrainEpochs      int64
}

// SettledOf resolves them.
func SettledOf(job *api.FineTuneJob) (Settled, error) {
	var decimals decimals
	given := job.Spec.Hyperparameters
	settled := Settled{
		LearningRate:        learningRate(job, &decimals),
		MicroBatchesPerStep: given.GradientAccumulationSteps * job.Spec.Trainer.NumNodes * job.Spec.Trainer.NumProcPerNode,
		NumTrainEpochs:      1,
	}
	if given.NumTrainEpochs != nil {
		settled.NumTrainEpochs = *given.NumTrainEpochs
	}
	return settled, decimals.err
}

func configOf(job *api.FineTuneJob, places Places) (trainerConfig, error) {
	settled, err := SettledOf(job)
	if err != nil {
		return trainerConfig{}, err
	}
	var decimals decimals
	spec, given := &job.Spec, &job.Spec.Hyperparameters
	config := trainerConfig{
		JobName:          job.Name,
		RunFolder:        places.run.mount(),
		CheckpointFolder: places.run.join("checkpoints").mount(),
		OutputFolder:     places.output.mount(),
		BaseModel:        baseModel{Path: places.baseModel.mount(), URI: spec.BaseModel.StorageURI},
		Dataset: dataset{
			Path:                 places.dataset.mount(),
			Format:               spec.Dataset.Format,
			ChatTemplate:         chatTemplate(spec.Dataset.ChatTemplate),
			MaxLength:            spec.Dataset.MaxLength,
			ExcessLengthStrategy: spec.Dataset.ExcessLengthStrategy,
			Packing:              spec.Dataset.Packing,
			Filters: filters{
				MinLength:           spec.Dataset.Filters.MinLength,
				MaxLength:           spec.Dataset.Filters.MaxLength,
				ExactDeduplication:  spec.Dataset.Filters.ExactDeduplication,
				IncludePattern:      spec.Dataset.Filters.IncludePattern,
				ExcludePattern:      spec.Dataset.Filters.ExcludePattern,
				MaxRejectedFraction: decimals.read("dataset.filters.maxRejectedFraction", spec.Dataset.Filters.MaxRejectedFraction),
			},
			Seed: given.Seed,
		},
		Method: "full",
		Hyperparameters: hyperparameters{
			NumTrainEpochs:          float64(settled.NumTrainEpochs),
			MaxSteps:                given.MaxSteps,
			PerDeviceTrainBatchSize: given.PerDeviceTrainBatchSize,
			LearningRate:            settled.LearningRate,
			LRSchedulerType:         given.LRSchedulerType,
			WarmupSteps:             given.WarmupSteps,
			WeightDecay:             decimals.read("hyperparameters.weightDecay", given.WeightDecay),
			AdamBeta1:               decimals.read("hyperparameters.adamBeta1", given.AdamBeta1),
			AdamBeta2:               decimals.read("hyperparameters.adamBeta2", given.AdamBeta2),
			AdamEpsilon:             decimals.read("hyperparameters.adamEpsilon", given.AdamEpsilon),
			MaxGradNorm:             decimals.read("hyperparameters.maxGradNorm", given.MaxGradNorm),
			Precision:               given.Precision,
			Seed:                    given.Seed,
		},
		Evaluation: evaluation{spec.Evaluation.EvalSteps, spec.Evaluation.PerDeviceEvalBatchSize, spec.Evaluation.EarlyStoppingPatience},
		Parallelism: parallelism{
			NumNodes:            spec.Trainer.NumNodes,
			NumProcPerNode:      spec.Trainer.NumProcPerNode,
			ThreadsPerProc:      threads(job),
			MicroBatchesPerStep: settled.MicroBatchesPerStep,
			Device:              device(job),
		},
		Checkpoint: checkpoint{spec.Checkpoint.SaveSteps, spec.Checkpoint.SaveTotalLimit},
		Failure: failure{
			MaxRestarts:              spec.FailurePolicy.MaxRestarts,
			HeartbeatTimeoutSeconds:  10,
			StallTimeoutSeconds:      spec.FailurePolicy.StallTimeoutSeconds,
			MaxNonFiniteSteps:        10,
			RendezvousTimeoutSeconds: 300,
		},
		Output: map[string]bool{"mergeAdapter": spec.Output.MergeAdapter},
	}
	if validation := spec.Dataset.Validation; validation != nil && validation.Split != nil {
		config.Dataset.Validation = map[string]float64{"split": decimals.read("dataset.validation.split", *validation.Split)}
	}
	if given := spec.Method.Lora; given != nil {
		config.Method = map[string]lora{"lora": {
			R:             given.R,
			LoraAlpha:     float64(given.LoraAlpha),
			LoraDropout:   decimals.read("method.lora.loraDropout", given.LoraDropout),
			TargetModules: given.TargetModules,
			UseRslora:     given.UseRslora,
		}}
	}
	return config, decimals.err
}

func chatTemplate(text string) any {
	if text == "tokenizerDefault" {
		return text
	}
	return map[string]string{"inline": text}
}

func device(job *api.FineTuneJob) string {
	if gpus, ok := job.Spec.Trainer.ResourcesPerNode.Limits["nvidia.com/gpu"]; ok && !gpus.IsZero() {
		return "cuda"
	}
	return "cpu"
}
