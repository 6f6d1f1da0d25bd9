// A minimal controller-runtime operator that takes a FineTuneJob along the same walk as Anneal: the same children, byte
// for byte, in the same order, a status patch and an Event at each transition. It checks, classifies and retries
// nothing: it is what the walk costs when nothing can go wrong.
package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const workers = 32 // as many as Anneal has

var kind = schema.GroupVersionKind{Group: "anneal.dev", Version: "v1alpha1", Kind: "FineTuneJob"}

// template holds the children of a run as Anneal makes them, with placeholders for the owner.
type template struct {
	Shared []json.RawMessage `json:"shared"`
	Stages []struct {
		Name     string            `json:"name"`
		Children []json.RawMessage `json:"children"`
	} `json:"stages"`
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	ctrl.SetLogger(zap.New())
	text, err := os.ReadFile(os.Args[1])
	must(err)
	var children template
	must(json.Unmarshal(text, &children))

	ours, err := labels.Parse("app.kubernetes.io/managed-by=anneal,anneal.dev/uid")
	must(err)
	selected := cache.ByObject{Label: ours}
	manager, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{
		Metrics: server.Options{BindAddress: "0"},
		// Unstructured reads go to the API server unless asked otherwise; a controller reads its own cache.
		Client: client.Options{Cache: &client.CacheOptions{Unstructured: true}},
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&batchv1.Job{}: selected, &corev1.Pod{}: selected, &corev1.PersistentVolumeClaim{}: selected,
		}},
	})
	must(err)
	resource := &unstructured.Unstructured{}
	resource.SetGroupVersionKind(kind)
	//nolint:staticcheck // the old recorder writes the same core/v1 Events as Anneal does
	walker := &walker{manager.GetClient(), manager.GetEventRecorderFor("twin"), children}
	must(ctrl.NewControllerManagedBy(manager).Named("twin").For(resource).Owns(&batchv1.Job{}).
		Owns(&corev1.PersistentVolumeClaim{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(ownerOfPod)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).Complete(walker))
	must(manager.Start(ctrl.SetupSignalHandler()))
}

func ownerOfPod(_ context.Context, pod client.Object) []reconcile.Request {
	name := types.NamespacedName{Namespace: pod.GetNamespace(), Name: pod.GetLabels()["anneal.dev/name"]}
	return []reconcile.Request{{NamespacedName: name}}
}

// fill puts an owner into a template.
func fill(raw []byte, owner *unstructured.Unstructured) *unstructured.Unstructured {
	uid := string(owner.GetUID())
	short := strings.ReplaceAll(uid, "-", "")[:8]
	text := strings.NewReplacer("00000000-owner", uid, "00000000", short, "owner-name", owner.GetName(),
		"the-namespace", owner.GetNamespace()).Replace(string(raw))
	result := &unstructured.Unstructured{}
	must(json.Unmarshal([]byte(text), &result.Object))
	return result
}
