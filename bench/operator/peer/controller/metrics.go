package controller

import (
	"io"
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"temper.dev/bench/operator/peer/status"
)

// readMetrics reads a rank's metrics; nil before training has begun.
func readMetrics(text io.Reader, now time.Time) (*status.Progress, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, err
	}
	read := func(name string) *float64 { return value(families[name]) }
	count := func(name string) int64 {
		if number := read(name); number != nil && *number >= 0 {
			return int64(*number)
		}
		return 0
	}
	started, step := count("temper_training_started_timestamp_seconds"), count("temper_training_step")
	if count("temper_training_total_steps") == 0 || started == 0 {
		return nil, nil
	}
	// What was not measured yet is no number.
	measured := func(name string) *float64 {
		number := read(name)
		if number == nil || step == 0 || math.IsNaN(*number) || math.IsInf(*number, 0) {
			return nil
		}
		return number
	}
	progress := &status.Progress{
		Step: step, TotalSteps: count("temper_training_total_steps"), ResumedFromStep: count("temper_training_resumed_from_step"),
		StartedAt: time.Unix(started, 0).UTC(), UpdatedAt: now,
		TrainingLoss: measured("temper_training_loss"), ValidationLoss: measured("temper_validation_loss"),
		LearningRate: measured("temper_learning_rate"), GradientNorm: measured("temper_gradient_norm"),
		TokensPerSecond: measured("temper_training_tokens_per_second"),
		CheckpointStep:  count("temper_checkpoint_step"), CheckpointAttempt: count("temper_checkpoint_attempt"),
	}
	if epoch := read("temper_training_epoch"); epoch != nil {
		progress.Epoch = *epoch
	}
	if bytes := count("temper_gpu_memory_bytes"); bytes > 0 {
		progress.GPUMemoryBytes = &bytes
	}
	return progress, nil
}

// value of a family's first sample.
func value(family *dto.MetricFamily) *float64 {
	if family == nil || len(family.Metric) == 0 {
		return nil
	}
	metric := family.Metric[0]
	switch {
	case metric.Gauge != nil:
		return metric.Gauge.Value
	case metric.Counter != nil:
		return metric.Counter.Value
	case metric.Untyped != nil:
		return metric.Untyped.Value
	default:
		return nil
	}
}
