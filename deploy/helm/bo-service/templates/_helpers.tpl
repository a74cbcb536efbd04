{{- define "bo.name" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "bo.selector" -}}
app.kubernetes.io/name: bo-service
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "bo.labels" -}}
{{ include "bo.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "bo.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "bo.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* A probe: `check` is what is asked for, by its names in `bo-service health` and in gRPC's health service. */}}
{{- define "bo.probe" -}}
{{- $tls := .root.Values.server.tls -}}
{{- if $tls.existingSecret -}}
exec:
  command:
    - bo-service
    - health
    - --server=127.0.0.1:50051
    - --check={{ .check }}
    - --timeout=4
    - --ca=/etc/bo-service/tls/ca.crt
    {{- with $tls.serverName }}
    - --server-name={{ . }}
    {{- end }}
    {{- if $tls.requireClientCertificates }}
    - --cert=/etc/bo-service/tls/tls.crt
    - --key=/etc/bo-service/tls/tls.key
    {{- end }}
{{- else -}}
grpc:
  port: 50051
  {{- if eq .check "ready" }}
  service: bo_api.v1.OptimizationService
  {{- else }}
  service: ""
  {{- end }}
{{- end }}
{{- end -}}

{{- define "bo.workerTls" -}}
{{- .Values.worker.tls.existingSecret | default .Values.server.tls.existingSecret -}}
{{- end -}}

{{- define "bo.claim" -}}
{{- $given := .Values.worker.checkpoints -}}
{{- if $given.existingClaim -}}
{{ $given.existingClaim }}
{{- else if $given.size -}}
{{ include "bo.name" . }}-checkpoints
{{- end -}}
{{- end -}}

{{/* An image: by its digest where that is given. */}}
{{- define "bo.image" -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- with .image.digest -}}@{{ . }}{{- end -}}
{{- end -}}

{{- define "bo.dns" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
  {{- with .Values.networkPolicy.dnsTo }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
