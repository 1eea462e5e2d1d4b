package status

import (
	"strconv"

	"temper.dev/bench/operator/peer/api"
	"temper.dev/bench/operator/peer/objects"
)

// Remembered is the report of a stage that the status says is done.
func Remembered(status *api.FineTuneJobStatus, stage string) *Report {
	switch {
	case stage == objects.Prepare && status.Dataset != nil && status.BaseModel != nil && status.Parameters != nil:
		return &Report{Prepared: rememberedPrepared(status)}
	case stage == objects.Train && status.Result != nil:
		return &Report{Trained: rememberedTrained(status.Result)}
	case stage == objects.Publish && status.ModelVersion != nil:
		return &Report{Published: &Published{Format: status.ModelVersion.Format, Digest: status.ModelVersion.Digest}}
	default:
		return nil
	}
}

func rememberedPrepared(status *api.FineTuneJobStatus) *Prepared {
	report := &Prepared{
		Counts: Counts{
			Rows: status.Dataset.Rows, Accepted: status.Dataset.Accepted, Validation: status.Dataset.Validation, Tokens: status.Dataset.Tokens,
			Rejected: map[string]struct {
				Count int64 `json:"count"`
			}{},
		},
		Digest:              status.Dataset.Digest,
		ChatTemplateDigest:  status.Dataset.ChatTemplateDigest,
		BaseModelDigest:     status.BaseModel.Digest,
		Parameters:          Parameters{Total: status.Parameters.Total, Trainable: status.Parameters.Trainable},
		MemoryEstimateBytes: status.BaseModel.MemoryEstimateBytes,
	}
	for reason, count := range status.Dataset.Rejected {
		report.Counts.Rejected[reason] = struct {
			Count int64 `json:"count"`
		}{count}
	}
	return report
}

func rememberedTrained(result *api.TrainingResult) *Trained {
	report := &Trained{
		Step: result.Step, Reason: result.Reason, TrainingLoss: number(result.TrainingLoss),
		Tokens: result.Tokens, Seconds: float64(result.Seconds), PeakMemoryBytes: result.PeakMemoryBytes,
	}
	if rate := number(result.TokensPerSecond); rate != nil {
		report.TokensPerSecond = *rate
	}
	if result.ValidationLossBefore != "" || result.ValidationLossAfter != "" {
		report.Validation = &struct {
			Before *float64 `json:"before"`
			After  *float64 `json:"after"`
		}{number(result.ValidationLossBefore), number(result.ValidationLossAfter)}
	}
	return report
}

func number(text string) *float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil
	}
	return &value
}
