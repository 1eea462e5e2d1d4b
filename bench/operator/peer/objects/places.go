package objects

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"temper.dev/bench/operator/peer/api"
)

// Places say where a job's files are.
type Places struct {
	run, output, baseModel, dataset volumePath
	ownsClaim                       bool
}

// volumePath is a path on a claim.
type volumePath struct{ claim, path string }

func (v volumePath) join(elem string) volumePath { return volumePath{v.claim, path.Join(v.path, elem)} }
func (v volumePath) mount() string               { return path.Join("/volumes", v.claim, v.path) }
func (v volumePath) uri() string                 { return "pvc://" + path.Join(v.claim, v.path) }

func parseVolume(uri string) (volumePath, error) {
	rest, ok := strings.CutPrefix(uri, "pvc://")
	if !ok {
		return volumePath{}, fmt.Errorf("%s: the peer reads and writes claims only (pvc://CLAIM/PATH)", uri)
	}
	claim, folder, _ := strings.Cut(rest, "/")
	return volumePath{claim, strings.Trim(folder, "/")}, nil
}

// PlacesOf are the places of a job.
func PlacesOf(job *api.FineTuneJob) (Places, error) {
	var (
		places Places
		err    error
	)
	if places.baseModel, err = parseVolume(job.Spec.BaseModel.StorageURI); err != nil {
		return places, err
	}
	if places.dataset, err = parseVolume(job.Spec.Dataset.StorageURI); err != nil {
		return places, err
	}
	places.ownsClaim = job.Spec.Checkpoint.StorageURI == nil
	places.run = volumePath{claim: ClaimName(job.Name)}
	if !places.ownsClaim {
		if places.run, err = parseVolume(*job.Spec.Checkpoint.StorageURI); err != nil {
			return places, err
		}
	}
	places.run = places.run.join(RunName(job))
	places.output = places.run.join("output")
	if job.Spec.Output.StorageURI != nil {
		if places.output, err = parseVolume(*job.Spec.Output.StorageURI); err != nil {
			return places, err
		}
		places.output = places.output.join(RunName(job))
	}
	return places, nil
}

// OwnsClaim tells whether a claim is made for the job.
func (p Places) OwnsClaim() bool { return p.ownsClaim }

// ModelURI is where others find the published model.
func (p Places) ModelURI() string { return p.output.uri() }

// CheckpointURI is where others find a checkpoint.
func (p Places) CheckpointURI(attempt, step int64) string {
	return p.run.join("checkpoints").join(fmt.Sprintf("attempt-%d", attempt)).join(fmt.Sprintf("step-%08d", step)).uri()
}

// mounted is a claim that a stage's pods mount.
type mounted struct {
	claim    string
	readOnly bool
}

// mounts are the claims of a stage in the order of their names.
func (p Places) mounts(stage string, namesOutput bool) []mounted {
	readOnly := map[string]bool{p.baseModel.claim: true}
	switch stage {
	case Prepare:
		readOnly[p.dataset.claim] = true
		if namesOutput {
			readOnly[p.output.claim] = true
		}
	case Publish:
		if namesOutput {
			readOnly[p.output.claim] = false
		}
	}
	readOnly[p.run.claim] = false
	claims := make([]mounted, 0, len(readOnly))
	for claim, ro := range readOnly {
		claims = append(claims, mounted{claim, ro})
	}
	slices.SortFunc(claims, func(a, b mounted) int { return strings.Compare(a.claim, b.claim) })
	return claims
}
