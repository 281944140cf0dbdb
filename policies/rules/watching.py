"""Whatever keeps data is backed up, whatever runs is watched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from policies.model import Parameters, Problem, Rule, Severity
from policies.view import CONFIG, VOLUME, Stack, View, component, config_text

SPEC: Final = ("taskSpec", "containerSpec")
BACKUP: Final = "backup"
BACKED_UP: Final = "BACKUP_VOLUMES"


def _protected(stack: Stack, _: Parameters) -> Iterator[Problem]:
    for volume in stack.of(VOLUME):
        if not volume.protect:
            yield Problem(volume, "can be removed with everything in it by a mistake in the program")


def _backed_up(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    covered: set[str] = set(parameters.get("disposable", ()))
    for service in stack.services:
        if component(service).startswith(BACKUP):
            covered |= set(service.pairs(*SPEC, "env").get(BACKED_UP, "").split(","))
    for volume in stack.of(VOLUME):
        if component(volume) not in covered:
            yield Problem(volume, "is in no backup")


def _documents(stack: Stack, key: str) -> Iterator[Mapping[str, Any]]:
    """The YAML configs that have the key at their top."""
    for config in stack.of(CONFIG):
        try:
            content = yaml.safe_load(config_text(config))
        except yaml.YAMLError:
            continue  # another program's language
        if isinstance(content, Mapping) and key in content:
            yield content


def _hosts(scrape: Mapping[str, Any]) -> Iterator[str]:
    """The services that a scrape configuration asks."""
    for found in scrape.get("dns_sd_configs") or ():
        for name in found.get("names") or ():
            yield str(name).removeprefix("tasks.")
    for found in scrape.get("static_configs") or ():
        for target in found.get("targets") or ():
            yield str(target).rpartition(":")[0] or str(target)


def _scraped(stack: Stack) -> dict[str, str]:
    """Names of services that are asked for metrics, and the job that asks."""
    return {
        host: str(scrape.get("job_name", ""))
        for content in _documents(stack, "scrape_configs")
        for scrape in content["scrape_configs"] or ()
        for host in _hosts(scrape)
    }


def _services_scraped(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    scraped = _scraped(stack)
    names = {service.text("name"): service for service in stack.services}
    asked = {component(service) for name, service in names.items() if name in scraped}
    for service in names.values():
        exporter = parameters.get("exporters", {}).get(component(service))
        if component(service) not in asked and exporter not in asked:
            yield Problem(service, "is asked for metrics by nobody")


def _services_alerted(stack: Stack, _: Parameters) -> Iterator[Problem]:
    jobs = set(_scraped(stack).values())
    expressions = [
        str(rule.get("expr", ""))
        for content in _documents(stack, "groups")
        for group in content["groups"] or ()
        for rule in group.get("rules") or ()
        if "alert" in rule
    ]
    if any("".join(expression.split()) == "up==0" for expression in expressions):
        return
    for job in sorted(jobs):
        if not any(f'job="{job}"' in "".join(expression.split()) for expression in expressions):
            yield Problem(_service_of(stack, job), f"has no alert that tells when the job {job} is down")


def _service_of(stack: Stack, job: str) -> View | None:
    host = next(host for host, found in _scraped(stack).items() if found == job)
    return next((service for service in stack.services if service.text("name") == host), None)


RULES: Final = (
    Rule(
        id="volumes-protected",
        title="Volumes are protected",
        severity=Severity.CRITICAL,
        description="A protected resource is not removed by `pulumi up`, whatever the program says.",
        remediation="Give the volume ResourceOptions(protect=True).",
        judge_stack=_protected,
    ),
    Rule(
        id="volumes-backed-up",
        title="Every volume is in a backup",
        severity=Severity.CRITICAL,
        description="A volume that is in no backup is lost with its machine.",
        remediation=f"Name it in {BACKED_UP} of a service whose component begins with `{BACKUP}`.",
        judge_stack=_backed_up,
        parameters={
            "disposable": {"type": "array", "items": {"type": "string"}, "description": "Volumes that nobody misses."}
        },
    ),
    Rule(
        id="services-scraped",
        title="Prometheus asks every service",
        severity=Severity.MEDIUM,
        description="What nobody asks for metrics fails unseen.",
        remediation="Add it to scrape_configs, or name its exporter in policies/environments.py.",
        judge_stack=_services_scraped,
        parameters={"exporters": {"type": "object", "description": "Component, and the exporter that asks it."}},
    ),
    Rule(
        id="services-alerted",
        title="Somebody is told when a service is gone",
        severity=Severity.MEDIUM,
        description="A metric that no alert looks at helps afterwards only.",
        remediation="Add an alert on `up == 0`, or one for the job.",
        judge_stack=_services_alerted,
    ),
)
