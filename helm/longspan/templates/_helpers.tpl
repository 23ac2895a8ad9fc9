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
{{- end -}}
{{- range $name, $root := .Values.roots -}}
{{- if eq (empty $root.volume) (empty $root.claim) -}}
{{- fail (printf "roots.%s: give one of volume and claim" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
