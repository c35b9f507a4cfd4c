{{/* The name of the chart. */}}
{{- define "mtls-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of every object. Suffixes of up to 20 characters are added to it. A release may have dots in its name, a Service may not. */}}
{{- define "mtls-operator.fullname" -}}
{{- $release := .Release.Name | replace "." "-" }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 43 | trimSuffix "-" }}
{{- else if contains (include "mtls-operator.name" .) .Release.Name }}
{{- $release | trunc 43 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" $release (include "mtls-operator.name" .) | trunc 43 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "mtls-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mtls-operator.name" . }}
app.kubernetes.io/instance: {{ toYaml .Release.Name }}
{{- end }}

{{- define "mtls-operator.labels" -}}
{{ include "mtls-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- range $key, $value := .Values.commonLabels }}
{{- include "mtls-operator.refuseOwnLabel" (list "commonLabels" $key) }}
{{ dict $key $value | toYaml }}
{{- end }}
{{- end }}

{{/* The labels of an object with labels of its own: takes the root context, the name of the value, and the value. */}}
{{- define "mtls-operator.labelsWith" -}}
{{- range $key, $_ := last . }}
{{- include "mtls-operator.refuseOwnLabel" (list (index $ 1) $key) }}
{{- end }}
{{- merge (dict) (last .) (include "mtls-operator.labels" (first .) | fromYaml) | toYaml }}
{{- end }}

{{/* Fails for a label that the chart sets, because selectors and Helm need its value. */}}
{{- define "mtls-operator.refuseOwnLabel" -}}
{{- $own := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" }}
{{- if has (last .) $own }}
{{- fail (printf "%s: the chart sets the label %s; remove it" (first .) (last .)) }}
{{- end }}
{{- end }}

{{- define "mtls-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "mtls-operator.fullname" .) }}
{{- else }}
{{- required "serviceAccount.name is required if serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The user name of the operator's ServiceAccount, as admission policies see it. */}}
{{- define "mtls-operator.userName" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "mtls-operator.serviceAccountName" . }}
{{- end }}

{{/* A digest decides which image runs. The tag then only tells people which version it is. */}}
{{- define "mtls-operator.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- .repository }}{{ with .tag }}:{{ . }}{{ end }}@{{ .digest }}
{{- else }}
{{- .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether the cluster already serves the custom resources. Helm cannot create a resource of a CRD of the same release. */}}
{{- define "mtls-operator.servesCustomResources" -}}
{{- if .Capabilities.APIVersions.Has "mtls-operator.io/v1alpha1/MtlsAuthority" }}true{{ end }}
{{- end }}

{{/* Whether the operator creates the authorities of the values. */}}
{{- define "mtls-operator.mountsAuthorities" -}}
{{- if and .Values.authorities (not (include "mtls-operator.servesCustomResources" .)) }}true{{ end }}
{{- end }}

{{/* The names of the authorities that the operator may create, as a JSON list. */}}
{{- define "mtls-operator.createdAuthorities" -}}
{{- $names := list }}
{{- if include "mtls-operator.mountsAuthorities" . }}
{{- range .Values.authorities }}
{{- $names = append $names .name }}
{{- end }}
{{- else if and .Values.createDefaultAuthority (not .Values.authorities) }}
{{- $names = list "default" }}
{{- end }}
{{- toJson $names }}
{{- end }}

{{/* Whether clients may send a bearer token. */}}
{{- define "mtls-operator.metricsAuthorization" -}}
{{- with .Values.metrics }}
{{- if and .tls.enabled (not (.authorization).enabled) (not .clients) }}
{{- fail "metrics.tls.enabled needs metrics.authorization.enabled or metrics.clients: no client could read the metrics" }}
{{- end }}
{{- if and .tls.enabled (.authorization).enabled }}true{{ end }}
{{- end }}
{{- end }}

{{/* Whether the operator creates the MtlsCertificate of its metrics server. Helm cannot create one in the release that installs its CRD. */}}
{{- define "mtls-operator.createsMetricsCertificate" -}}
{{- if and .Values.metrics.tls.enabled (not .Values.metrics.tls.secretName) }}true{{ end }}
{{- end }}

{{/* The Secret with the certificate of the metrics server. */}}
{{- define "mtls-operator.metricsSecretName" -}}
{{- .Values.metrics.tls.secretName | default (printf "%s-metrics-server-tls" (include "mtls-operator.fullname" .)) }}
{{- end }}

{{/*
The arguments of the operator. A setting that equals the default of its flag is left out. With --reuse-values, Helm renders the values
of an earlier version, which lack newer keys: a missing key is a default, and parentheses allow a missing map.
*/}}
{{- define "mtls-operator.args" -}}
{{- with .Values -}}
{{- if and .createDefaultAuthority (not .authorities) -}}
- --create-default-authority
{{ end -}}
- --listen-address=:{{ .metrics.port }}
{{- if include "mtls-operator.mountsAuthorities" $ }}
- --authorities-file=/etc/mtls-operator/authorities/authorities.json
{{- end }}
{{- with .watchNamespaces }}
- --watch-namespaces={{ join "," . }}
{{- end }}
{{- if (.injectCA).enabled }}
- --inject-ca
{{- end }}
{{- if (.podCertificates).enabled }}
- --pod-certificates
{{- end }}
{{- if (.podEvidence).enabled }}
- --pod-evidence
{{- end }}
{{- if (.podEvidence).restartWorkloads }}
- --restart-workloads
{{- end }}
{{- if .metrics.tls.enabled }}
- --metrics-listen-address=:{{ .metrics.tls.port }}
- --metrics-tls-directory=/etc/mtls-operator/metrics
{{- range .metrics.clients }}
- {{ printf "--metrics-client=%s" . | quote }}
{{- end }}
{{- if include "mtls-operator.metricsAuthorization" $ }}
- --metrics-authorization
{{- end }}
{{- if include "mtls-operator.createsMetricsCertificate" $ }}
- --metrics-service={{ include "mtls-operator.fullname" $ }}
{{- if ne .metrics.tls.authority "default" }}
- --metrics-authority={{ .metrics.tls.authority }}
{{- end }}
{{- end }}
{{- end }}
{{- if eq (toString .metrics.perCertificate) "false" }}
- --no-metrics-per-certificate
{{- end }}
{{- if ne .log.level "info" }}
- --log-level={{ .log.level }}
{{- end }}
{{- if ne (.log.format | default "json") "json" }}
- --log-format={{ .log.format }}
{{- end }}
{{- if ne (int .workers) 32 }}
- --workers={{ int .workers }}
{{- end }}
{{- if ne .leaderElection.leaseDuration "15s" }}
- --lease-duration={{ .leaderElection.leaseDuration }}
{{- end }}
{{- if ne .leaderElection.renewDeadline "10s" }}
- --renew-deadline={{ .leaderElection.renewDeadline }}
{{- end }}
{{- if ne .leaderElection.retryPeriod "2s" }}
- --retry-period={{ .leaderElection.retryPeriod }}
{{- end }}
{{- range .extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The endpoint of a monitor: takes the root context, the values of the monitor, and its kind. */}}
{{- define "mtls-operator.endpoint" -}}
{{- $root := index . 0 }}
{{- $monitor := index . 1 }}
{{- $kind := index . 2 }}
{{- $tls := $root.Values.metrics.tls -}}
- port: {{ $tls.enabled | ternary "metrics" "http" }}
  path: /metrics
  # The label namespace of a series names the namespace of an MtlsCertificate, not that of the operator.
  honorLabels: true
  {{- with $monitor.interval }}
  interval: {{ . }}
  {{- end }}
  {{- with $monitor.scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- if $tls.enabled }}
  scheme: https
  {{- $secret := dict "secret" (dict "name" (include "mtls-operator.metricsSecretName" $root) "key" "ca.crt") }}
  {{- $serverName := printf "%s.%s.svc" (include "mtls-operator.fullname" $root) $root.Release.Namespace }}
  tlsConfig: {{- mergeOverwrite (dict "ca" $secret "serverName" $serverName) (deepCopy $monitor.tlsConfig) | toYaml | nindent 4 }}
  {{- if $monitor.authorization }}
  authorization: {{- toYaml $monitor.authorization | nindent 4 }}
  {{- else if and (include "mtls-operator.metricsAuthorization" $root) (not $monitor.tlsConfig.cert) (eq $kind "ServiceMonitor") }}
  # The token of Prometheus's own ServiceAccount.
  bearerTokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
  {{- end }}
  {{- end }}
  {{- with $monitor.relabelings }}
  relabelings: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $monitor.metricRelabelings }}
  metricRelabelings: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The milliseconds of a duration such as 1m30s. */}}
{{- define "mtls-operator.milliseconds" -}}
{{- $milliseconds := dict "h" 3600000.0 "m" 60000.0 "s" 1000.0 "ms" 1.0 }}
{{- $sum := 0.0 }}
{{- range regexFindAll "[0-9.]+(h|ms|m|s)" . -1 }}
{{- $unit := regexFind "[a-z]+" . }}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (index $milliseconds $unit)) }}
{{- end }}
{{- $sum }}
{{- end }}
