module pidea/tools/jaeger
go 1.26
require github.com/jaegertracing/jaeger v1.76.0
