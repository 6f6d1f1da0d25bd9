{{- define "anneal.ownLabels" -}}
app.kubernetes.io/name: anneal
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: anneal
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "anneal.labels" -}}
{{ include "anneal.ownLabels" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The lines of metadata that everything has in common. */ -}}
{{- define "anneal.metadata" -}}
labels: {{- include "anneal.labels" . | nindent 2 }}
{{- with .Values.commonAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "anneal.selector" -}}
app.kubernetes.io/name: anneal
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- /* Cluster-wide objects carry the namespace in their name, so that two namespaced installations do not collide. */ -}}
{{- define "anneal.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "anneal.serviceAccount" -}}
{{ .Values.serviceAccount.name | default .Release.Name }}
{{- end }}

{{- /* Argument: a dict of image (one of .Values.images) and version. */ -}}
{{- define "anneal.image" -}}
{{- if .image.reference -}}
{{ .image.reference }}
{{- else if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .version }}
{{- end -}}
{{- end }}

{{- /* What the operator may do in each namespace that it serves. Secrets are not in it: pods mount them by name. */ -}}
{{- define "anneal.rules" -}}
- apiGroups: [anneal.dev]
  resources: [finetunejobs, modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [anneal.dev]
  resources: [finetunejobs/status, modeldeployments/status]
  verbs: [get, patch, update]
# Where owner references are checked (OpenShift), a child may only block the deletion of an owner whose finalizers we may set.
- apiGroups: [anneal.dev]
  resources: [finetunejobs/finalizers, modeldeployments/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps, persistentvolumeclaims, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [events]
  verbs: [get, list, create, patch]
{{- end }}
