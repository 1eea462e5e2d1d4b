package status

import (
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"temper.dev/bench/operator/peer/api"
)

// Progress is what rank 0 last said.
type Progress struct {
	Step, TotalSteps, ResumedFromStep          int64
	StartedAt, UpdatedAt                       time.Time
	Epoch                                      float64
	TrainingLoss, ValidationLoss, LearningRate *float64
	GradientNorm, TokensPerSecond              *float64
	GPUMemoryBytes                             *int64
	CheckpointStep, CheckpointAttempt          int64
}

// SaysTheSame tells whether nothing but the time differs.
func (p *Progress) SaysTheSame(other *Progress) bool {
	return p.Step == other.Step && p.TotalSteps == other.TotalSteps && p.ResumedFromStep == other.ResumedFromStep &&
		p.StartedAt.Equal(other.StartedAt) && p.Epoch == other.Epoch &&
		same(p.TrainingLoss, other.TrainingLoss) && same(p.ValidationLoss, other.ValidationLoss) &&
		same(p.LearningRate, other.LearningRate) && same(p.GradientNorm, other.GradientNorm) &&
		same(p.TokensPerSecond, other.TokensPerSecond) && same(p.GPUMemoryBytes, other.GPUMemoryBytes) &&
		p.CheckpointStep == other.CheckpointStep && p.CheckpointAttempt == other.CheckpointAttempt
}

func same[T comparable](a, b *T) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

func (p *Progress) status() *api.TrainerStatus {
	updated := metav1.NewTime(p.UpdatedAt)
	status := &api.TrainerStatus{
		Step: p.Step, TotalSteps: p.TotalSteps, Epoch: Decimal(p.Epoch),
		Metrics: api.TrainerMetrics{
			TrainingLoss: optional(p.TrainingLoss), ValidationLoss: optional(p.ValidationLoss), LearningRate: optional(p.LearningRate),
			GradientNorm: optional(p.GradientNorm), TokensPerSecond: optional(p.TokensPerSecond), GPUMemoryBytes: p.GPUMemoryBytes,
		},
		LastUpdatedTime: &updated,
	}
	if p.TotalSteps > 0 {
		status.ProgressPercentage = min(p.Step, p.TotalSteps) * 100 / p.TotalSteps
	}
	if done := p.Step - p.ResumedFromStep; done > 0 {
		elapsed := math.Max(0, p.UpdatedAt.Sub(p.StartedAt).Seconds())
		remaining := int64(math.Ceil(float64(max(0, p.TotalSteps-p.Step)) * elapsed / float64(done)))
		status.EstimatedRemainingSeconds, status.EstimatedRemaining = &remaining, Duration(remaining)
	}
	return status
}
