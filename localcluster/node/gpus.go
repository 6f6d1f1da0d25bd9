package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/klog/v2"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// fakeGPUs is a device plugin without devices: pods that ask for a GPU are counted, scheduled and
// admitted as on a real node, and get nothing.
type fakeGPUs struct {
	api.UnimplementedDevicePluginServer
	count int
}

func (f fakeGPUs) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (f fakeGPUs) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	devices := make([]*api.Device, f.count)
	for i := range devices {
		devices[i] = &api.Device{ID: fmt.Sprintf("fake-%d", i), Health: api.Healthy}
	}
	if err := stream.Send(&api.ListAndWatchResponse{Devices: devices}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (f fakeGPUs) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	response := &api.AllocateResponse{}
	for range request.ContainerRequests {
		response.ContainerResponses = append(response.ContainerResponses, &api.ContainerAllocateResponse{})
	}
	return response, nil
}

// serveOnce registers with the kubelet and serves until the kubelet restarts: a starting kubelet
// empties the folder of sockets, ours included.
func (f fakeGPUs) serveOnce(ctx context.Context, socket, resource string) error {
	if err := os.RemoveAll(socket); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, f)
	go func() {
		if err := server.Serve(listener); err != nil {
			klog.ErrorS(err, "Device plugin server ended")
		}
	}()
	defer server.Stop()
	if err := register(ctx, filepath.Base(socket), resource); err != nil {
		return err
	}
	klog.InfoS("Registered fake GPUs with the kubelet", "resource", resource, "count", f.count)
	return untilGone(ctx, socket)
}

func register(ctx context.Context, endpoint, resource string) error {
	connection, err := grpc.NewClient("unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = api.NewRegistrationClient(connection).Register(ctx,
		&api.RegisterRequest{Version: api.Version, Endpoint: endpoint, ResourceName: resource})
	return err
}

func untilGone(ctx context.Context, path string) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		if _, err := os.Stat(path); err != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func serveFakeGPUs(args []string) error {
	flags := flag.NewFlagSet("fake-gpus", flag.ContinueOnError)
	count := flags.Int("count", 0, "how many")
	resource := flags.String("resource", "nvidia.com/gpu", "name of the extended resource")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	socket := filepath.Join(api.DevicePluginPath, "anneal-fake-gpus.sock")
	for ctx.Err() == nil {
		if err := (fakeGPUs{count: *count}).serveOnce(ctx, socket, *resource); err != nil {
			klog.InfoS("The kubelet is not ready for device plugins, trying again", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
	return os.RemoveAll(socket)
}
