package controller

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"temper.dev/bench/operator/peer/api"
	"temper.dev/bench/operator/peer/status"
)

const (
	scrapePatience = 5 * time.Second
	// firstInterval until an attempt's first answer: the first step should be seen soon.
	firstInterval = 2 * time.Second
	largestAnswer = 1 << 20
)

// Scraper keeps what running attempts say on their metrics pages: one goroutine an attempt.
type Scraper struct {
	interval time.Duration
	client   *http.Client
	news     chan event.GenericEvent

	lock    sync.Mutex
	watched map[types.NamespacedName]*target
}

type target struct {
	address string
	cancel  context.CancelFunc
	latest  *status.Progress
}

// NewScraper makes one.
func NewScraper(interval time.Duration) *Scraper {
	return &Scraper{
		interval: interval,
		client:   &http.Client{Timeout: scrapePatience},
		news:     make(chan event.GenericEvent, 1024),
		watched:  map[types.NamespacedName]*target{},
	}
}

// News tells which job's page has something new.
func (s *Scraper) News() <-chan event.GenericEvent { return s.news }

// Latest is what a job's trainers last said; nil if they have not yet.
func (s *Scraper) Latest(job types.NamespacedName) *status.Progress {
	s.lock.Lock()
	defer s.lock.Unlock()
	if known := s.watched[job]; known != nil {
		return known.latest
	}
	return nil
}

// Watch from now on. The same address again changes nothing.
func (s *Scraper) Watch(job types.NamespacedName, address string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	known := s.watched[job]
	if known != nil && known.address == address {
		return
	}
	if known != nil {
		known.cancel()
	}
	ctx, cancel := context.WithCancel(context.Background())
	added := &target{address: address, cancel: cancel}
	s.watched[job] = added
	go s.run(ctx, job, added)
}

// Forget a job that has no running attempt any more.
func (s *Scraper) Forget(job types.NamespacedName) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if known := s.watched[job]; known != nil {
		known.cancel()
		delete(s.watched, job)
	}
}

func (s *Scraper) run(ctx context.Context, job types.NamespacedName, target *target) {
	interval := min(firstInterval, s.interval)
	for {
		if said, err := s.fetch(ctx, target.address); err == nil && said != nil {
			interval = s.interval
			if s.note(target, said) {
				object := &api.FineTuneJob{ObjectMeta: metav1.ObjectMeta{Namespace: job.Namespace, Name: job.Name}}
				select {
				case s.news <- event.GenericEvent{Object: object}:
				case <-ctx.Done():
				}
			}
		}
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return
		}
	}
}

// note keeps what was said; whether it is news.
func (s *Scraper) note(target *target, said *status.Progress) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	news := target.latest == nil || !target.latest.SaysTheSame(said)
	target.latest = said
	return news
}

func (s *Scraper) fetch(ctx context.Context, address string) (*status.Progress, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/metrics", address), nil)
	if err != nil {
		return nil, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", address, response.Status)
	}
	return readMetrics(io.LimitReader(response.Body, largestAnswer), now())
}
