//go:build tools

// Package tools names the command that is built, so that go.mod covers it. The go.sum came with the module: the public
// checksum database has no entry for some of what it needs.
package tools

import _ "github.com/jaegertracing/jaeger/cmd/jaeger"
