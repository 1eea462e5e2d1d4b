// The peer of `make bench-operator`: a controller of FineTuneJobs on sigs.k8s.io/controller-runtime that makes the same objects with the
// same writes as temper-operator does. It carries out the life of a job in which everything goes well, and fails a job at its first failed
// Job; what it leaves out (restarts, suspension, deadlines, refusals in words) would only cost it more.
package main

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"temper.dev/bench/operator/peer/api"
	"temper.dev/bench/operator/peer/controller"
	"temper.dev/bench/operator/peer/objects"
)

func main() {
	var (
		namespace, metricsAddress, healthAddress string
		scrapeInterval                           time.Duration
		concurrency                              int
		settings                                 objects.Settings
	)
	flag.StringVar(&namespace, "namespace", "", "carry out the FineTuneJobs of this namespace")
	flag.StringVar(&metricsAddress, "metrics-address", "127.0.0.1:8080", "where /metrics is served")
	flag.StringVar(&healthAddress, "health-address", "127.0.0.1:8081", "where /healthz and /readyz are served")
	flag.DurationVar(&scrapeInterval, "scrape-interval", 15*time.Second, "how often a running job's metrics are read")
	flag.IntVar(&concurrency, "concurrency", 16, "reconciles at the same time")
	flag.StringVar(&settings.TrainerImage, "trainer-image", "", "image of temper-trainer")
	flag.StringVar(&settings.RunVolumeSize, "run-volume-size", "50Gi", "size of a job's own volume")
	flag.StringVar(&settings.OperatorNamespace, "operator-namespace", "", "namespace that the trainers are scraped from")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(ctrl.SetupSignalHandler(), namespace, metricsAddress, healthAddress, scrapeInterval, concurrency, settings); err != nil {
		ctrl.Log.Error(err, "the peer ends")
		os.Exit(1)
	}
}

func run(
	ctx context.Context, namespace, metricsAddress, healthAddress string, scrapeInterval time.Duration, concurrency int, settings objects.Settings,
) error {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), api.AddToScheme(scheme)); err != nil {
		return err
	}
	caches, err := controller.CacheOptions(namespace)
	if err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache:  caches,
		// A status that was just written is read back before the next is planned: else every other write would be refused.
		Client:                        client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: new(true)}},
		Metrics:                       server.Options{BindAddress: metricsAddress},
		HealthProbeBindAddress:        healthAddress,
		LeaderElection:                true,
		LeaderElectionID:              "temper-peer",
		LeaderElectionNamespace:       namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return err
	}
	reconciler := &controller.Reconciler{
		Client:   mgr.GetClient(),
		Live:     mgr.GetAPIReader(),
		Recorder: mgr.GetEventRecorder("temper-operator"),
		Scraper:  controller.NewScraper(scrapeInterval),
		Settings: settings,
	}
	if err := reconciler.SetupWithManager(ctx, mgr, concurrency); err != nil {
		return err
	}
	var leads atomic.Bool
	leading := manager.RunnableFunc(func(ctx context.Context) error {
		leads.Store(true)
		<-ctx.Done()
		return nil
	})
	ready := func(*http.Request) error {
		if !leads.Load() {
			return errors.New("not leading yet")
		}
		return nil
	}
	if err := errors.Join(mgr.Add(leading), mgr.AddHealthzCheck("healthz", healthz.Ping), mgr.AddReadyzCheck("readyz", ready)); err != nil {
		return err
	}
	return mgr.Start(ctx)
}
