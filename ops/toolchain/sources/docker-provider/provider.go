// Package pulumi maps the upstream Terraform provider for Docker onto the names of the pulumi-docker SDK.
//
// The module's path lies below the upstream provider's own, since its constructor is in an internal package, which
// Go lets only packages below the same path import.
package pulumi

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

const (
	// Name is the package's name in Pulumi.
	Name = "docker"
	// Version is that of the pulumi-docker SDK whose resources, inputs and names the plugin answers.
	Version = "5.2.0"
)

// Provider describes the upstream provider and where the SDK's names differ from the computed ones.
func Provider() tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P:            shim.NewProvider(provider.New(Version)()),
		Name:         Name,
		Version:      Version,
		GitHubOrg:    "kreuzwerker",
		MetadataInfo: tfbridge.NewProviderMetadata([]byte("{}")),
		// Here and below, the bridge would make the names of lists plural; the SDK keeps these in the singular.
		Config: map[string]*tfbridge.SchemaInfo{"registry_auth": {Name: "registryAuth"}},
		Resources: map[string]*tfbridge.ResourceInfo{
			// The SDK's Image builds by itself in Go code that no module offers; the Terraform image is its RemoteImage.
			"docker_image":  {Tok: tfbridge.MakeResource(Name, "index", "RemoteImage")},
			"docker_config": {Tok: tfbridge.MakeResource(Name, "index", "ServiceConfig")},
			"docker_container": {
				Tok: tfbridge.MakeResource(Name, "index", "Container"),
				Fields: map[string]*tfbridge.SchemaInfo{
					"command":           {Name: "command"},
					"networks_advanced": {Name: "networksAdvanced"},
				},
			},
		},
		DataSources: map[string]*tfbridge.DataSourceInfo{
			"docker_image": {Tok: tfbridge.MakeDataSource(Name, "index", "getRemoteImage")},
		},
	}
	info.MustComputeTokens(tokens.SingleModule("docker_", "index", tokens.MakeStandard(Name)))
	// The SDK names a resource without a name "<logical name>-<hex>", as its own provider does.
	info.SetAutonaming(255, "-")
	return info
}
