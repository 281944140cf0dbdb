"""Who can reach whom: one way in, one way out, and everything else on networks of the stack's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.model import Parameters, Rule, Severity
from policies.view import CONTAINER, NETWORK, SERVICE, View, component, listed

# Below it only root may listen on Linux, and the machine's own services do.
LOWEST_PORT: Final = 1024
DEFAULT_BRIDGE: Final = "bridge"
# Everybody's on a machine.
SHARED: Final = frozenset((DEFAULT_BRIDGE, "default", "docker_gwbridge", "ingress"))


def _published(resource: View) -> Iterator[tuple[int, int]]:
    """The container's and the machine's port of each that is published; 0 for one that Docker chooses."""
    if resource.type == SERVICE:
        ports, inside, outside = resource.each("endpointSpec", "ports"), "targetPort", "publishedPort"
    else:
        ports, inside, outside = resource.each("ports"), "internal", "external"
    for port in ports:
        yield int(port.number(inside)), int(port.number(outside))


def _networks(resource: View) -> list[View]:
    if resource.type == SERVICE:
        return list(resource.each("taskSpec", "networksAdvanceds"))
    return list(resource.each("networksAdvanced"))


def _only_edge_publishes(resource: View, parameters: Parameters) -> Iterator[str]:
    allowed = parameters.get("allowed", ())
    lowest = parameters.get("lowest", LOWEST_PORT)
    may = component(resource) in allowed
    if resource.type == CONTAINER and resource.flag("publishAllPorts"):
        yield "publishes every port that its image names"
    for target, published in _published(resource):
        said = f"port {published}" if published else f"its port {target} on one that Docker chooses"
        if not may:
            yield f"publishes {said}; only {listed(allowed) or 'nobody'} may"
        elif 0 < published < lowest:
            yield f"publishes {said}, below {lowest:g}"


def _no_host_network(resource: View, _: Parameters) -> Iterator[str]:
    text = "is on the machine's own network, where nothing keeps it apart"
    networks = _networks(resource)
    if resource.type == CONTAINER and resource.text("networkMode") == "host":
        yield text
    # Docker takes a name as an id; names first, because ids are not known before the first deployment.
    for key in ("name", "id"):
        for network in networks:
            if network.text(key) == "host":
                yield text


def _no_routing_mesh(service: View, _: Parameters) -> Iterator[str]:
    for port in service.each("endpointSpec", "ports"):
        mode = port.text("publishMode", default="ingress")
        if mode != "host":
            yield f"publishes its port {port.number('targetPort'):g} in mode {mode!r}, through the routing mesh"


def _no_virtual_address(service: View, _: Parameters) -> Iterator[str]:
    mode = service.text("endpointSpec", "mode", default="vip")
    if mode != "dnsrr":
        yield f"is reached in mode {mode!r}, by a virtual address"


def _internal(network: View, parameters: Parameters) -> Iterator[str]:
    if not network.flag("internal") and component(network) not in parameters.get("not_internal", ()):
        yield "has a way out of the machine"


def _encrypted(network: View, parameters: Parameters) -> Iterator[str]:
    # Docker looks whether the option is there; its value is usually empty.
    if parameters.get("required", True) and not network.has("options", "encrypted"):
        yield "carries what its services say from machine to machine in the clear"


def _not_on_default_bridge(resource: View, _: Parameters) -> Iterator[str]:
    names = [network.text("name") for network in _networks(resource)]
    if resource.type == CONTAINER and not names:
        # A container that names no network gets the bridge; `none` and another container's are not it.
        mode = resource.text("networkMode", default=DEFAULT_BRIDGE)
        names = [mode or DEFAULT_BRIDGE]
    if not names:
        yield "is on no network of the stack"
    for name in names:
        if name in SHARED:
            yield f"is on Docker's network {name!r}, which everything on the machine shares"


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        id="only-edge-publishes",
        title="Only the edge publishes ports, and none below 1024",
        severity=Severity.CRITICAL,
        description=(
            "A published port listens on every address of the machine, past the edge's passwords and limits. "
            "Ports below 1024 are those of the machine's own services."
        ),
        remediation="Take the ports out and let the edge forward to the service, on a port from 1024 on.",
        references=("CIS Docker 1.6: 5.8", "CIS Docker 1.6: 5.9"),
        types=(SERVICE, CONTAINER),
        judge=_only_edge_publishes,
        parameters={
            "allowed": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Components that may publish ports.",
            },
            "lowest": {
                "type": "integer",
                "minimum": 1,
                "maximum": 65535,
                "description": "The lowest port that they may publish.",
            },
        },
    ),
    Rule(
        id="no-host-network",
        title="Nothing is on the machine's own network",
        severity=Severity.CRITICAL,
        description="There it reaches every service of the machine, also those that listen on 127.0.0.1 alone.",
        remediation="Attach it to a network of the stack.",
        references=("CIS Docker 1.6: 5.10",),
        types=(SERVICE, CONTAINER),
        judge=_no_host_network,
    ),
    Rule(
        id="no-routing-mesh",
        title="Ports are published in host mode",
        severity=Severity.MEDIUM,
        description="The routing mesh needs IPVS, which many kernels lack, and hides the clients' addresses.",
        remediation="Set publishMode to host on every port.",
        types=(SERVICE,),
        judge=_no_routing_mesh,
    ),
    Rule(
        id="no-virtual-address",
        title="Services are reached by the addresses of their tasks",
        severity=Severity.MEDIUM,
        description="A virtual address needs IPVS, which many kernels lack: connections to it hang there.",
        remediation="Set endpointSpec.mode to dnsrr.",
        types=(SERVICE,),
        judge=_no_virtual_address,
    ),
    Rule(
        id="networks-internal",
        title="Networks have no way out of the machine",
        severity=Severity.HIGH,
        description="What cannot call out can neither load an attacker's tools nor send him data.",
        remediation="Set internal to true.",
        types=(NETWORK,),
        judge=_internal,
        parameters={
            "not_internal": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Networks that may have a way out: published ports need one.",
            }
        },
    ),
    Rule(
        id="networks-encrypted",
        title="Networks between machines are encrypted",
        severity=Severity.HIGH,
        description="Swarm encrypts its own messages, but not those of the services.",
        remediation='Set options to {"encrypted": ""} (pidea:network.encrypted).',
        references=("CIS Docker 1.6: 7.3",),
        types=(NETWORK,),
        judge=_encrypted,
        parameters={"required": {"type": "boolean", "description": "Whether networks must be encrypted."}},
    ),
    Rule(
        id="not-on-default-bridge",
        title="Services are on networks of the stack's own",
        severity=Severity.HIGH,
        description="On Docker's own networks everything on the machine meets, also what belongs to other stacks.",
        remediation="Attach it to a network of the stack by id.",
        references=("CIS Docker 1.6: 5.30",),
        types=(SERVICE, CONTAINER),
        judge=_not_on_default_bridge,
    ),
)
