// The CRDs of the Prometheus operator, which the chart's ServiceMonitor, PodMonitor and PrometheusRule have to match.
module mtls-operator.io/test/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
