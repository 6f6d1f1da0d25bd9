package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
	cri "k8s.io/cri-client/pkg"
)

// purgePods removes every pod from containerd through the CRI, so that the network plugin and the
// snapshotter undo their own work (namespaces, addresses, mounts).
func purgePods(args []string) error {
	flags := flag.NewFlagSet("purge-pods", flag.ContinueOnError)
	endpoint := flags.String("endpoint", "", "CRI endpoint, unix:///...")
	timeout := flags.Duration("timeout", 30*time.Second, "give up after this time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	runtime, err := cri.NewRemoteRuntimeService(ctx, *endpoint, *timeout, noop.NewTracerProvider(), false)
	if err != nil {
		return fmt.Errorf("cannot reach the container runtime: %w", err)
	}
	sandboxes, err := runtime.ListPodSandbox(ctx, nil)
	if err != nil {
		return err
	}
	results := make(chan error)
	for _, sandbox := range sandboxes {
		go func() {
			results <- errors.Join(runtime.StopPodSandbox(ctx, sandbox.Id), runtime.RemovePodSandbox(ctx, sandbox.Id))
		}()
	}
	var failures []error
	for range sandboxes {
		failures = append(failures, <-results)
	}
	return errors.Join(failures...)
}
