// One binary that is every part of a single-node Kubernetes: the first argument says which.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coredns/coredns/coremain"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	helm "helm.sh/helm/v4/pkg/cmd"
	"helm.sh/helm/v4/pkg/kube"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	_ "k8s.io/client-go/plugin/pkg/client/auth"
)

// Parts of Kubernetes bring their own cobra command, which reads os.Args itself.
func kubernetesPart(command func() *cobra.Command) func() {
	return func() { os.Exit(cli.Run(command())) }
}

func runKubectl() {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}

func runHelm() {
	kube.ManagedFieldsManager = "helm"
	root, err := helm.NewRootCmd(os.Stdout, os.Args[1:], helm.SetupLogging)
	if err == nil {
		err = root.Execute()
	}
	if failed, ok := errors.AsType[helm.CommandError](err); ok {
		os.Exit(failed.ExitCode)
	}
	if err != nil {
		os.Exit(1)
	}
}

// Parts of our own report failure with an error.
func ownPart(run func(args []string) error) func() {
	return func() {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[0], err)
			os.Exit(1)
		}
	}
}

var parts = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"kube-apiserver":          kubernetesPart(apiserver.NewAPIServerCommand),
	"kube-controller-manager": kubernetesPart(controllermanager.NewControllerManagerCommand),
	"kube-scheduler":          kubernetesPart(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubelet":                 kubernetesPart(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"kube-proxy":              kubernetesPart(proxy.NewProxyCommand),
	"kubectl":                 runKubectl,
	"helm":                    runHelm,
	"coredns":                 coremain.Run,
	"pki":                     ownPart(writePKI),
	"volumes":                 ownPart(provisionVolumes),
	"fake-gpus":               ownPart(serveFakeGPUs),
	"cri-ready":               ownPart(askRuntime),
	"purge-pods":              ownPart(purgePods),
}

func main() {
	name := filepath.Base(os.Args[0])
	if _, linked := parts[name]; !linked && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		name = os.Args[0]
	}
	part, known := parts[name]
	if !known {
		names := make([]string, 0, len(parts))
		for candidate := range parts {
			names = append(names, candidate)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "no part %q: the first argument must be one of %s\n", name, strings.Join(names, ", "))
		os.Exit(2)
	}
	part()
}
