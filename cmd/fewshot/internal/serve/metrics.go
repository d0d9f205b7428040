package serve

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what Prometheus reads. Labels have values that the program and its operator choose, never a client.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec   // by endpoint and status
	seconds  *prometheus.HistogramVec // by endpoint
	images   *prometheus.CounterVec   // by task
	refused  *prometheus.CounterVec   // by reason
	loads    *prometheus.CounterVec   // by outcome
	sizes    prometheus.Histogram
	compute  prometheus.Histogram
	decode   prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fewshot_requests_total", Help: "Requests answered, by endpoint and status."}, []string{"endpoint", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "fewshot_request_seconds", Help: "From a request's header to its answer, by endpoint.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)}, []string{"endpoint"}),
		images:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fewshot_images_total", Help: "Images classified, by task."}, []string{"task"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fewshot_refused_total", Help: "Requests refused for lack of room or time, by reason."}, []string{"reason"}),
		loads:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fewshot_loads_total", Help: "Tasks loaded, by outcome."}, []string{"outcome"}),
		sizes: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "fewshot_batch_images", Help: "Images in a batch.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128}}),
		compute: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "fewshot_batch_seconds", Help: "Time to compute a batch.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15)}),
		decode: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "fewshot_decode_seconds", Help: "Time to decode, resize and crop an image.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 15)}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.images, m.refused, m.loads, m.sizes, m.compute, m.decode,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// gauges adds what is read when somebody asks.
func (m *metrics) gauges(queue, tasks func() int, bodies func() int64, connections func() int) {
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	gauge("fewshot_queue_images", "Images that wait or are being decoded.", func() float64 { return float64(queue()) })
	gauge("fewshot_tasks", "Tasks that are loaded.", func() float64 { return float64(tasks()) })
	gauge("fewshot_body_bytes", "Bytes of bodies that are held.", func() float64 { return float64(bodies()) })
	gauge("fewshot_connections", "Open connections.", func() float64 { return float64(connections()) })
}

func (m *metrics) batch(images int, seconds float64) {
	m.sizes.Observe(float64(images))
	m.compute.Observe(seconds)
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
