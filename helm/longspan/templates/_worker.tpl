{{- /* (list . POOL SELECTOR): a pod of a pool of workers. POOL has the defaults. */ -}}
{{- define "longspan.workerPod" -}}
{{- $top := index . 0 -}}
{{- $selector := index . 2 -}}
{{- $name := include "longspan.fullname" $top -}}
{{- with index . 1 -}}
{{- $cuda := eq .devices "cuda" -}}
metadata:
  labels: {{- $selector | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: worker
    {{- with .annotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  {{- include "longspan.pod" $top | nindent 2 }}
  {{- include "longspan.placement" . | nindent 2 }}
  {{- with .runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- if .hostNetwork }}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- $selector | nindent 10 }}
  terminationGracePeriodSeconds: {{ add .drainSeconds 15 }}
  containers:
    - name: worker
      {{- include "longspan.image" (list $top (ternary "worker-cuda" "worker" $cuda)) | nindent 6 }}
      args:
        - --coordinator={{ $name }}:7600
        - --name=$(POD_NAME)
        - --data-address=$(POD_IP)
        - --metrics-listen=0.0.0.0:7602
        - --state-dir=/var/lib/longspan/state
        - --devices={{ .devices }}
        {{- if not $cuda }}
        - --slots={{ .slots }}
        {{- end }}
        - --threads={{ .threads }}
        - --drain-timeout={{ .drainSeconds }}s
        - --log-format={{ $top.Values.logFormat }}
        {{- range $root, $_ := $top.Values.roots }}
        - --root={{ $root }}=/roots/{{ $root }}
        {{- end }}
        {{- include "longspan.authArguments" $top | nindent 8 }}
      env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        {{- range $variable, $value := .env }}
        - {name: {{ $variable }}, value: {{ $value | quote }}}
        {{- end }}
      ports:
        - {name: metrics, containerPort: 7602}
      # Whether the daemon answers. That it has registered is what
      # longspan_worker_up and `longspan workers` say: a worker without
      # coordinator is to compute on, not to be restarted.
      startupProbe:
        httpGet: {path: /metrics, port: metrics}
        periodSeconds: 1
        failureThreshold: 120
      readinessProbe:
        httpGet: {path: /metrics, port: metrics}
        periodSeconds: 10
        timeoutSeconds: 5
      livenessProbe:
        httpGet: {path: /metrics, port: metrics}
        periodSeconds: 15
        timeoutSeconds: 10
        failureThreshold: 8
      resources:
        {{- $extra := deepCopy .extendedResources }}
        {{- if $cuda }}{{ $_ := set $extra .gpuResource .gpus }}{{ end }}
        requests: {{- toYaml .resources.requests | nindent 10 }}
        limits: {{- toYaml (merge (deepCopy $extra) .resources.limits) | nindent 10 }}
      {{- include "longspan.containerSecurity" (ternary (list "IPC_LOCK") list .ipcLock) | nindent 6 }}
      volumeMounts:
        - {name: state, mountPath: /var/lib/longspan}
        - {name: tmp, mountPath: /tmp}
        - {name: shm, mountPath: /dev/shm}
        {{- range $root, $source := $top.Values.roots }}
        - name: root-{{ $root }}
          mountPath: /roots/{{ $root }}
          readOnly: {{ default false $source.readOnly }}
          {{- with $source.subPath }}
          subPath: {{ . }}
          {{- end }}
        {{- end }}
        {{- include "longspan.authMount" $top | nindent 8 }}
  volumes:
    # Of the pod's life: what ranks are left after a restart of the daemon.
    - {name: state, emptyDir: {}}
    - {name: tmp, emptyDir: {}}
    - {name: shm, emptyDir: {medium: Memory, sizeLimit: {{ .sharedMemory }}}}
    {{- range $root, $source := $top.Values.roots }}
    - name: root-{{ $root }}
      {{- if $source.claim }}
      persistentVolumeClaim: {claimName: {{ $name }}-{{ $root }}}
      {{- else }}
      {{- toYaml $source.volume | nindent 6 }}
      {{- end }}
    {{- end }}
    {{- include "longspan.authVolume" $top | nindent 4 }}
{{- end -}}
{{- end -}}
