{{- define "longspan.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "longspan.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "longspan.labels" -}}
{{ include "longspan.selector" . }}
app.kubernetes.io/part-of: longspan
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* (list . "worker"): the image of that part. */ -}}
{{- define "longspan.image" -}}
{{- $top := index . 0 -}}
{{- with $top.Values.image -}}
image: {{ printf "%s/%s:%s" .repository (index $ 1) (default $top.Chart.AppVersion .tag) }}
imagePullPolicy: {{ .pullPolicy }}
{{- end -}}
{{- end -}}

{{- define "longspan.pod" -}}
serviceAccountName: {{ include "longspan.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- /* (list CAPABILITY...): what a container may. */ -}}
{{- define "longspan.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    {{- with . }}
    add: {{ toJson . }}
    {{- end }}
{{- end -}}

{{- /* Where a pod may run, of the values of a coordinator or a pool. */ -}}
{{- define "longspan.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "longspan.authArguments" -}}
{{- if .Values.auth.existingSecret -}}
- --token-file=/etc/longspan/token
{{- else -}}
- --insecure
{{- end -}}
{{- end -}}

{{- define "longspan.authMount" -}}
{{- if .Values.auth.existingSecret -}}
- {name: token, mountPath: /etc/longspan, readOnly: true}
{{- end -}}
{{- end -}}

{{- define "longspan.authVolume" -}}
{{- with .Values.auth.existingSecret -}}
- name: token
  secret:
    secretName: {{ . }}
    items: [{key: token, path: token}]
    defaultMode: 0440
{{- end -}}
{{- end -}}

{{- /* Mistakes that the schema cannot see. */ -}}
{{- define "longspan.check" -}}
{{- if and .Values.auth.existingSecret .Values.auth.insecure -}}
{{- fail "auth: give existingSecret or insecure, not both" -}}
{{- end -}}
{{- if not (or .Values.auth.existingSecret .Values.auth.insecure) -}}
{{- fail "auth: name a Secret with the key \"token\" in auth.existingSecret, or set auth.insecure=true to let anyone who reaches the port submit jobs" -}}
{{- end -}}
{{- $policy := .Values.networkPolicy -}}
{{- $addresses := false -}}
{{- range $policy.clients }}{{ if .ipBlock }}{{ $addresses = true }}{{ end }}{{ end -}}
{{- range $name, $own := .Values.pools -}}
{{- $pool := mustMergeOverwrite (deepCopy $.Values.poolDefaults) (default dict $own) -}}
{{- if and $pool.hostNetwork $policy.enabled (not $addresses) -}}
{{- fail (printf "pools.%s.hostNetwork: its pods call the coordinator from their nodes' addresses, which a NetworkPolicy does not count to this namespace: name them as {ipBlock: {cidr: ...}} in networkPolicy.clients, or set networkPolicy.enabled=false" $name) -}}
{{- end -}}
{{- include "longspan.checkPool" (list $ $name $pool) -}}
{{- end -}}
{{- range $name, $root := .Values.roots -}}
{{- if eq (empty $root.volume) (empty $root.claim) -}}
{{- fail (printf "roots.%s: give one of volume and claim" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* (list . NAME POOL) */ -}}
{{- define "longspan.checkPool" -}}
{{- $pool := index . 2 -}}
{{- $key := printf "pools.%s" (index . 1) -}}
{{- $set := printf "%s-worker-%s" (include "longspan.fullname" (index . 0)) (index . 1) -}}
{{- if eq $pool.kind "LeaderWorkerSet" -}}
{{- if ne $pool.updateStrategy "RollingUpdate" -}}
{{- fail (printf "%s.updateStrategy: a LeaderWorkerSet knows only RollingUpdate" $key) -}}
{{- end -}}
{{- $set = printf "%s-%d" $set (int $pool.replicas) -}}
{{- else if or (ne (int $pool.groupSize) 1) $pool.groupTopology -}}
{{- fail (printf "%s: a StatefulSet has no groups: leave out groupSize and groupTopology, or set kind: LeaderWorkerSet" $key) -}}
{{- end -}}
{{- if and $pool.queue $pool.groupTopology -}}
{{- fail (printf "%s.groupTopology: its groups are only completed once their first pod is placed, and Kueue places none before the group is complete: with a queue, ask Kueue by the annotation kueue.x-k8s.io/podset-required-topology" $key) -}}
{{- end -}}
{{- if and $pool.queuePriority (not $pool.queue) -}}
{{- fail (printf "%s.queuePriority: is for Kueue; name the queue, too" $key) -}}
{{- end -}}
{{- if gt (len $set) 52 -}}
{{- fail (printf "%s: a StatefulSet of it would be named %s, longer than the 52 characters for which Kubernetes can make pods: shorten fullnameOverride, the release's name or the pool's" $key $set) -}}
{{- end -}}
{{- end -}}
