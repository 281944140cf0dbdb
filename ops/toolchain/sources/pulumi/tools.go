//go:build tools

// Package tools names the command that is built, so that go.mod and go.sum cover it and everything that it imports.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
