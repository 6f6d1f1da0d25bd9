package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

var conditions = map[string]string{
	"prepare": "DataValid", "train": "Trained", "evaluate": "Evaluated", "publish": "Published",
}

type walker struct {
	client   client.Client
	events   record.EventRecorder
	children template
}

// stage is one entry of status.stages.
type stage struct {
	Name       string `json:"name"`
	State      string `json:"state"`
	Reason     string `json:"reason"`
	JobName    string `json:"jobName,omitempty"`
	Message    string `json:"message,omitempty"`
	StartTime  string `json:"startTime,omitempty"`
	FinishTime string `json:"finishTime,omitempty"`
}

type run struct {
	ID         string `json:"id"`
	Generation int64  `json:"generation"`
	State      string `json:"state"`
	StartTime  string `json:"startTime,omitempty"`
}

type condition struct {
	Type               string `json:"type"`
	Status             string `json:"status"`
	Reason             string `json:"reason"`
	Message            string `json:"message"`
	ObservedGeneration int64  `json:"observedGeneration"`
	LastTransitionTime string `json:"lastTransitionTime"`
}

type entry struct {
	Event string `json:"event"`
	Time  string `json:"time"`
}

type status struct {
	Phase              string           `json:"phase"`
	ObservedGeneration int64            `json:"observedGeneration"`
	Run                *run             `json:"run,omitempty"`
	Stages             []stage          `json:"stages,omitempty"`
	Conditions         []condition      `json:"conditions,omitempty"`
	Timeline           []entry          `json:"timeline,omitempty"`
	Artifact           *json.RawMessage `json:"artifact,omitempty"`
	Evaluation         *json.RawMessage `json:"evaluation,omitempty"`
	Dataset            *json.RawMessage `json:"dataset,omitempty"`
}

// result is what a pod's termination message says.
type result struct {
	Prepare  struct{ Dataset *json.RawMessage }
	Evaluate struct{ Evaluation *json.RawMessage }
	Publish  struct{ Artifact *json.RawMessage }
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

func (s *status) set(kind, value, reason, message string) {
	made := condition{kind, value, reason, message, s.ObservedGeneration, now()}
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			if s.Conditions[i].Status == value {
				made.LastTransitionTime = s.Conditions[i].LastTransitionTime
			}
			s.Conditions[i] = made
			return
		}
	}
	s.Conditions = append(s.Conditions, made)
}

func (s *status) note(event string) { s.Timeline = append(s.Timeline, entry{event, now()}) }

func (w *walker) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	resource := &unstructured.Unstructured{}
	resource.SetGroupVersionKind(kind)
	if err := w.client.Get(ctx, request.NamespacedName, resource); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if resource.GetDeletionTimestamp() != nil {
		return ctrl.Result{}, nil
	}
	var known status
	if found, ok := resource.Object["status"]; ok {
		text, _ := json.Marshal(found)
		if err := json.Unmarshal(text, &known); err != nil {
			return ctrl.Result{}, err
		}
	}
	pass := &pass{walker: w, ctx: ctx, resource: resource, status: known}
	if err := pass.step(); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, pass.save(known)
}

// pass is one look at one resource.
type pass struct {
	*walker
	ctx      context.Context
	resource *unstructured.Unstructured
	status   status
	said     [][2]string
}

func (p *pass) say(reason, message string) { p.said = append(p.said, [2]string{reason, message}) }

func (p *pass) step() error {
	p.status.ObservedGeneration = p.resource.GetGeneration()
	if p.status.Run == nil {
		p.begin()
		return nil
	}
	if p.status.Run.State != "Running" {
		return p.clean()
	}
	for i := range p.status.Stages {
		if p.status.Stages[i].State == "Succeeded" {
			continue
		}
		if done, err := p.stage(i); err != nil || !done {
			return err
		}
	}
	p.status.Run.State, p.status.Phase = "Succeeded", "Succeeded"
	p.status.set("Ready", "True", "Published", "the artifact of this run is published")
	p.status.set("Reconciling", "False", "Published", "")
	p.say("Published", "the artifact of this run is published")
	return nil
}

func (p *pass) begin() {
	p.status.Run = &run{"twin", p.resource.GetGeneration(), "Running", now()}
	p.status.Phase = "Pending"
	for _, s := range p.children.Stages {
		p.status.Stages = append(p.status.Stages, stage{Name: s.Name, State: "Pending", Reason: "Waiting"})
	}
	p.status.note("created")
	p.status.note("accepted")
	p.status.set("Ready", "False", "Accepted", "the run begins")
	p.status.set("Reconciling", "True", "Accepted", "the run begins")
	p.say("Accepted", "the run begins")
}

// stage moves one stage on; it answers whether the stage has ended.
func (p *pass) stage(i int) (bool, error) {
	s := &p.status.Stages[i]
	if s.State == "Pending" {
		return false, p.start(i)
	}
	job := &batchv1.Job{}
	key := client.ObjectKey{Namespace: p.resource.GetNamespace(), Name: s.JobName}
	if err := p.client.Get(p.ctx, key, job); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	pods := &corev1.PodList{}
	if err := p.client.List(p.ctx, pods, client.InNamespace(key.Namespace),
		client.MatchingLabels{"batch.kubernetes.io/job-name": s.JobName}); err != nil || len(pods.Items) == 0 {
		return false, err
	}
	pod := &pods.Items[0]
	if job.Status.Succeeded > 0 && pod.Status.Phase == corev1.PodSucceeded && complete(job) {
		return true, p.end(s, pod)
	}
	if pod.Status.Phase == corev1.PodRunning {
		text := fmt.Sprintf("stage %s: pod %s is running", s.Name, pod.Name)
		if s.Message != text {
			p.status.note(s.Name + "PodRunning")
		}
		s.Message = text
		p.tell(s)
	}
	return false, nil
}

func complete(job *batchv1.Job) bool {
	for _, c := range job.Status.Conditions {
		if c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

func (p *pass) start(i int) error {
	wanted := p.children.Stages[i].Children
	if i == 0 {
		wanted = append(append([]json.RawMessage{}, p.children.Shared...), wanted...)
	}
	s := &p.status.Stages[i]
	for _, raw := range wanted {
		child := fill(raw, p.resource)
		if err := p.client.Create(p.ctx, child); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		s.JobName = child.GetName()
	}
	s.State, s.Reason, s.StartTime = "Running", "Running", now()
	s.Message = fmt.Sprintf("stage %s: Job %s was made", s.Name, s.JobName)
	p.status.Phase = s.Name
	p.status.note(s.Name + "Started")
	p.say("Running", s.Message)
	p.tell(s)
	return nil
}

func (p *pass) tell(s *stage) {
	p.status.set("Ready", "False", s.Reason, s.Message)
	p.status.set("Reconciling", "True", s.Reason, s.Message)
	p.status.set(conditions[s.Name], "Unknown", s.Reason, s.Message)
}

func (p *pass) end(s *stage, pod *corev1.Pod) error {
	var found result
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Terminated != nil {
			if err := json.Unmarshal([]byte(c.State.Terminated.Message), &found); err != nil {
				return err
			}
		}
	}
	if found.Prepare.Dataset != nil {
		p.status.Dataset = found.Prepare.Dataset
	}
	if found.Evaluate.Evaluation != nil {
		p.status.Evaluation = found.Evaluate.Evaluation
	}
	if found.Publish.Artifact != nil {
		p.status.Artifact = found.Publish.Artifact
	}
	s.State, s.Reason, s.Message, s.FinishTime = "Succeeded", "StageSucceeded", "", now()
	p.status.note(s.Name + "Finished")
	p.status.set(conditions[s.Name], "True", "StageSucceeded", "stage "+s.Name+" is done")
	p.say("StageSucceeded", "stage "+s.Name+" is done")
	return nil
}

// clean gives the workspace back.
func (p *pass) clean() error {
	for _, raw := range p.children.Shared {
		wanted := fill(raw, p.resource)
		if wanted.GetKind() != "PersistentVolumeClaim" {
			continue
		}
		claim := &corev1.PersistentVolumeClaim{}
		if err := p.client.Get(p.ctx, client.ObjectKeyFromObject(wanted), claim); err != nil {
			return client.IgnoreNotFound(err)
		}
		if claim.DeletionTimestamp == nil {
			uid := claim.UID
			return client.IgnoreNotFound(p.client.Delete(p.ctx, claim, client.Preconditions{UID: &uid}))
		}
	}
	return nil
}

// save writes the status if it differs, then one Event that tells what is new, as Anneal does.
func (p *pass) save(old status) error {
	before, _ := json.Marshal(old)
	after, _ := json.Marshal(p.status)
	if string(before) == string(after) {
		return nil
	}
	changed := p.resource.DeepCopy()
	var wanted map[string]any
	if err := json.Unmarshal(after, &wanted); err != nil {
		return err
	}
	changed.Object["status"] = wanted
	patch := client.MergeFromWithOptions(p.resource, client.MergeFromWithOptimisticLock{})
	if err := p.client.Status().Patch(p.ctx, changed, patch); err != nil {
		return err
	}
	if len(p.said) > 0 {
		var texts []string
		for _, said := range p.said {
			texts = append(texts, said[1])
		}
		p.events.Event(changed, corev1.EventTypeNormal, p.said[0][0], strings.Join(texts, "; "))
	}
	return nil
}
