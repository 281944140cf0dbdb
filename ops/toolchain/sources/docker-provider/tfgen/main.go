// Command tfgen writes the provider's Pulumi schema; the plugin embeds it.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfgen"
	"github.com/terraform-providers/terraform-provider-docker/pulumi"
)

func main() { tfgen.Main(pulumi.Name, pulumi.Version, pulumi.Provider()) }
