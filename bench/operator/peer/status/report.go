// Package status makes a job's status of what was observed: pure functions of values and the time.
package status

import "encoding/json"

// Report is a pod's last word: what its stage did. One of the fields is set.
type Report struct {
	Prepared  *Prepared  `json:"prepared,omitempty"`
	Trained   *Trained   `json:"trained,omitempty"`
	Published *Published `json:"published,omitempty"`
}

// Prepared is what `prepare` did.
type Prepared struct {
	Counts              Counts     `json:"counts"`
	Digest              string     `json:"digest"`
	ChatTemplateDigest  string     `json:"chatTemplateDigest"`
	BaseModelDigest     string     `json:"baseModelDigest"`
	Parameters          Parameters `json:"parameters"`
	MemoryEstimateBytes int64      `json:"memoryEstimateBytes"`
}

// Counts are rows by fate.
type Counts struct {
	Rows       int64 `json:"rows"`
	Accepted   int64 `json:"accepted"`
	Validation int64 `json:"validation"`
	Rejected   map[string]struct {
		Count int64 `json:"count"`
	} `json:"rejected"`
	Tokens int64 `json:"tokens"`
}

// Parameters of the model.
type Parameters struct {
	Total     int64 `json:"total"`
	Trainable int64 `json:"trainable"`
}

// Trained is what `train` did.
type Trained struct {
	Step         int64    `json:"step"`
	TotalSteps   int64    `json:"totalSteps"`
	Reason       string   `json:"reason"`
	Checkpoint   string   `json:"checkpoint"`
	TrainingLoss *float64 `json:"trainingLoss"`
	Validation   *struct {
		Before *float64 `json:"before"`
		After  *float64 `json:"after"`
	} `json:"validation"`
	Tokens          int64   `json:"tokens"`
	TokensPerSecond float64 `json:"tokensPerSecond"`
	Seconds         float64 `json:"seconds"`
	PeakMemoryBytes int64   `json:"peakMemoryBytes"`
}

// Published is what `publish` made.
type Published struct {
	Format string `json:"format"`
	Digest string `json:"digest"`
}

// ParseReport reads a termination message; false where it is none of a stage that is done.
func ParseReport(message string) (Report, bool) {
	var report Report
	if err := json.Unmarshal([]byte(message), &report); err != nil {
		return Report{}, false
	}
	return report, report.Prepared != nil || report.Trained != nil || report.Published != nil
}
