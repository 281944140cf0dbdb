// Command plugin is pulumi-resource-docker, the provider that the Pulumi engine starts.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/terraform-providers/terraform-provider-docker/pulumi"
)

// schema.json is what the tfgen command writes from the same provider just before this one is compiled.
//
//go:embed schema.json
var schema []byte

func main() { tfbridge.Main(pulumi.Name, pulumi.Version, pulumi.Provider(), schema) }
