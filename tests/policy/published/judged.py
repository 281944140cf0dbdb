"""What our rules find in published stacks, and the page that says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from policies import environments
from policies.catalogue import RULES
from policies.judge import judge_resource, judge_stack
from policies.model import Rule, Severity, Status
from policies.view import CONTAINER, IMAGE, SERVICE, Stack
from tests.policy.fixtures import waivers
from tests.policy.published.stacks import Published

# They read what is in the programs' own configuration files, which Compose mounts and we have not written down, or
# compare with a state before.
NOT_ASKED: Final = frozenset(
    (
        *("services-scraped", "services-alerted", "edge-has-tls", "alerts-are-routed"),
        *("no-data-loss", "no-database-downgrade", "exceptions-are-current"),
    )
)
# Of this platform's own making: nobody else can know them.
OURS: Final = frozenset(("labelled", "images-from-allowed-sources", "no-virtual-address", "no-routing-mesh"))
# Asked of stacks that run such a server.
ABOUT: Final[Mapping[str, str]] = MappingProxyType({"redis-topology": "redis", "postgres-topology": "postgres"})
ORDER: Final = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)


def found_in(stack: Published) -> Counter[str]:
    """How often each rule objects, as prod's figures are."""
    counts: Counter[str] = Counter()
    images = " ".join(resource.text("name") for resource in stack.resources if resource.type == IMAGE)
    for rule in asked():
        if ABOUT.get(rule.id, "") not in images:
            continue
        values = environments.parameters(rule, environments.PROD)
        for resource in stack.resources:
            # A container stands beside its service, for what only containers have.
            if resource.type == CONTAINER and SERVICE in rule.types:
                continue
            findings = judge_resource(rule, resource, values, waivers())
            counts[rule.id] += sum(item.status is Status.VIOLATION for item in findings)
        of_stack = judge_stack(rule, Stack(list(stack.resources)), values, waivers())
        counts[rule.id] += sum(item.status is Status.VIOLATION for item in of_stack)
    return +counts


def asked() -> list[Rule]:
    """The rules that can be asked."""
    return [rule for rule in RULES.values() if rule.id not in NOT_ASKED]


def page(stacks: Sequence[Published]) -> str:
    """The page."""
    found = {stack.name: found_in(stack) for stack in stacks}
    lines = [
        "# What the rules find elsewhere",
        "",
        "Published stacks of monitoring and caches, written down as facts in `tests/policy/published/` and judged by",
        f"{len(asked())} of our rules with prod's figures and without exceptions. Each service is judged as what",
        "`docker stack deploy` makes of it; what only containers have is asked of the container that Compose makes.",
        "They are examples, made for a first look and not for production: the table says what our platform adds.",
        "`PIDEA_UPDATE_GOLDENS=1` writes it anew; a test says when it is not current.",
        "",
        f"Not asked: {', '.join(f'`{name}`' for name in sorted(NOT_ASKED))}.",
        "They read the programs' own configuration files, which are not part of these files, or compare with a state",
        "before. The rules on the topology of Redis and PostgreSQL are asked where there is one.",
        "",
        f"| stack | services | findings | {' | '.join(ORDER)} | source |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
        *(_row(stack, found[stack.name]) for stack in stacks),
        "",
        f"Of these, {_ours(found)} are about what nobody else can know: our labels, our sources of images, and what",
        "kernels without IPVS need.",
        "",
        "## By rule",
        "",
        f"| rule | severity | {' | '.join(stack.name for stack in stacks)} |",
        f"| --- | --- | {' | '.join('---:' for _ in stacks)} |",
    ]
    for rule in asked():
        counts = [found[stack.name][rule.id] for stack in stacks]
        if any(counts):
            cells = " | ".join(str(count or "") for count in counts)
            lines.append(f"| [`{rule.id}`](rules.md#{rule.id}) | {rule.severity} | {cells} |")
    silent = [rule.id for rule in asked() if not any(counts[rule.id] for counts in found.values())]
    lines += ["", f"Nothing is found by {', '.join(f'`{name}`' for name in silent)}."]
    return "\n".join(lines) + "\n"


def _row(stack: Published, found: Counter[str]) -> str:
    by = Counter[Severity]()
    for rule, count in found.items():
        by[RULES[rule].severity] += count
    source = f"https://github.com/{stack.repository}/blob/{stack.commit}/{stack.file}"
    cells = " | ".join(str(by[severity]) for severity in ORDER)
    link = f"[{stack.repository} `{stack.file}` {stack.commit[:8]}]({source})"
    return f"| {stack.name} | {stack.services} | {found.total()} | {cells} | {link} |"


def _ours(found: Mapping[str, Counter[str]]) -> str:
    ours = sum(counts[name] for counts in found.values() for name in OURS)
    return f"{ours} of {sum(counts.total() for counts in found.values())}"
