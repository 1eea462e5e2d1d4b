{{/* Names and labels. */}}

{{- define "temper.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The operator's objects, and its Lease. */}}
{{- define "temper.operator" -}}
{{ include "temper.fullname" . }}-operator
{{- end -}}

{{- define "temper.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "temper.operator" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.create is false: say in serviceAccount.name which ServiceAccount the operator is to use" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What selects the operator's pods. It can never change, since a Deployment's selector cannot; and trainers know the operator by its name. */}}
{{- define "temper.selectorLabels" -}}
app.kubernetes.io/name: temper
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Labels of the operator's objects. */}}
{{- define "temper.labels" -}}
{{- toYaml (merge (include "temper.selectorLabels" . | fromYaml) (include "temper.sharedLabels" . | fromYaml)) -}}
{{- end -}}

{{/* Labels of what is not the operator itself. */}}
{{- define "temper.sharedLabels" -}}
{{- $own := dict "app.kubernetes.io/part-of" "temper" "app.kubernetes.io/version" .Chart.AppVersion "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- toYaml (merge $own .Values.commonLabels) -}}
{{- end -}}

{{/* The labels in the YAML of `base`, and `more` where they are silent: (dict "base" TEXT "more" MAP) */}}
{{- define "temper.withLabels" -}}
{{- toYaml (merge (fromYaml .base) .more) -}}
{{- end -}}

{{/* An image by digest or tag: (dict "image" IMAGE "root" $) */}}
{{- define "temper.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* "true" where objects of the Prometheus operator are to be made. */}}
{{- define "temper.monitored" -}}
{{- if or (eq (toString .Values.monitoring.enabled) "true") (and (eq (toString .Values.monitoring.enabled) "auto") (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}
true
{{- end -}}
{{- end -}}

{{/* A selector of the namespaces whose jobs are carried out, as JSON. */}}
{{- define "temper.watchedNamespaces" -}}
{{- if .Values.watchNamespace -}}
{{- dict "matchLabels" (dict "kubernetes.io/metadata.name" .Values.watchNamespace) | toJson -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/* What selects the pod of `helm test`. */}}
{{- define "temper.testLabels" -}}
app.kubernetes.io/name: temper
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end -}}

{{/* The port of a URL; values.schema.json sees to it that there is one. */}}
{{- define "temper.otlpPort" -}}
{{- regexFind ":[0-9]+(/.*)?$" . | trimPrefix ":" | regexFind "^[0-9]+" -}}
{{- end -}}

{{- define "temper.podSecurityContext" -}}
runAsNonRoot: true
{{- if not (kindIs "invalid" .Values.runAsUser) }}
runAsUser: {{ .Values.runAsUser | int64 }}
runAsGroup: {{ .Values.runAsUser | int64 }}
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "temper.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* The filter of the log. Watches that end and start again are daily life, and no news at the usual levels. */}}
{{- define "temper.logFilter" -}}
{{- if has (lower .Values.logLevel) (list "error" "warn" "info") -}}
{{ .Values.logLevel }},kube_client=error,kube_runtime=error
{{- else -}}
{{ .Values.logLevel }}
{{- end -}}
{{- end -}}
