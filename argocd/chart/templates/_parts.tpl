{{/* What several templates are made of: names, the image, settings as variables, what a pod may not do. */}}

{{/* Labels of an object of a part: dict "root" $ "part" "serving". */}}
{{- define "appraiser.labels" -}}
{{ include "appraiser.selector" . }}
app.kubernetes.io/part-of: appraiser
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* The labels by which its pods are found; they never change. */}}
{{- define "appraiser.selector" -}}
app.kubernetes.io/name: appraiser
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{/* The image by digest; by tag only where that is allowed, and never neither. */}}
{{- define "appraiser.image" -}}
{{- $image := .Values.image }}
{{- $repository := required "image.repository is empty: the release has no image" $image.repository }}
{{- if $image.digest -}}
{{ $repository }}@{{ $image.digest }}
{{- else if and $image.allowTag $image.tag -}}
{{ $repository }}:{{ $image.tag }}
{{- else -}}
{{ fail (printf "%s has no digest: set image.digest to sha256:…, or image.tag and image.allowTag on one machine" $repository) }}
{{- end }}
{{- end }}

{{/* What the pod is told its image is: an image cannot know its own digest. */}}
{{- define "appraiser.imageDigest" -}}
{{ .Values.image.digest | default (printf "%s:%s" .Values.image.repository .Values.image.tag) }}
{{- end }}

{{/* Settings as variables; what is empty keeps its own default. */}}
{{- define "appraiser.settings" -}}
{{- range $name, $value := . }}
{{- if ne (toString $value) "" }}
- name: APPRAISER_{{ upper $name }}
  value: {{ include "appraiser.text" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* A number as it was written: Helm holds 1000000 as a float and would print 1e+06. */}}
{{- define "appraiser.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end }}

{{/* A variable from a Secret: list "RAW_URL" "appraiser-serving" "raw-url". */}}
{{- define "appraiser.fromSecret" -}}
- name: APPRAISER_{{ index . 0 }}
  valueFrom:
    secretKeyRef: {name: {{ index . 1 }}, key: {{ index . 2 }}}
{{- end }}

{{/* What Kubernetes' "restricted" profile asks of a pod. Whether it has a token is said beside it. */}}
{{- define "appraiser.podSecurity" -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* The same of a container, and a root file system nobody writes to. */}}
{{- define "appraiser.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}
