package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
	api "k8s.io/cri-api/pkg/apis"
	cri "k8s.io/cri-client/pkg"
)

// withRuntime asks the container runtime for its version, as a starting kubelet does, and then does
// the work. It fails while containerd answers but has not read its containers yet.
func withRuntime(name string, args []string, work func(context.Context, api.RuntimeService) error) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	endpoint := flags.String("endpoint", "", "CRI endpoint, unix:///...")
	timeout := flags.Duration("timeout", 30*time.Second, "give up after this time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	runtime, err := cri.NewRemoteRuntimeService(ctx, *endpoint, *timeout, noop.NewTracerProvider(), false)
	if err != nil {
		return fmt.Errorf("the container runtime is not ready: %w", err)
	}
	return work(ctx, runtime)
}

// askRuntime succeeds when a kubelet that starts now would find the container runtime ready.
func askRuntime(args []string) error {
	return withRuntime("cri-ready", args, func(context.Context, api.RuntimeService) error { return nil })
}

func purgePods(args []string) error {
	return withRuntime("purge-pods", args, purge)
}

// purge removes every pod from containerd through the CRI, so that the network plugin and the
// snapshotter undo their own work (namespaces, addresses, mounts).
func purge(ctx context.Context, runtime api.RuntimeService) error {
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
