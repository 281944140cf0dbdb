"""Whatever keeps data is backed up, whatever runs is watched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import yaml

from policies.model import Parameters, Problem, Rule, Severity
from policies.view import CONFIG, VOLUME, Stack, View, component, config_text, parsed_yaml

SPEC: Final = ("taskSpec", "containerSpec")
BACKUP: Final = "backup"
BACKED_UP: Final = "BACKUP_VOLUMES"
PROMETHEUS: Final = "prometheus"


def _protected(stack: Stack, _: Parameters) -> Iterator[Problem]:
    for volume in stack.of(VOLUME):
        if not volume.protect:
            yield Problem(volume, "can be removed with everything in it by a mistake in the program")


def _backed_up(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    jobs = [service for service in stack.services if component(service).startswith(BACKUP)]
    listed = {name for job in jobs for name in re.split(r"[,\s]+", job.text(*SPEC, "env", BACKED_UP)) if name}
    covered = listed | set(parameters.get("disposable", ()))
    for volume in stack.of(VOLUME):
        # What jobs mount comes last: at a preview it is often not known.
        if component(volume) in covered or volume.text("name") in listed or _mounted(volume, jobs):
            continue
        yield Problem(volume, "is in no backup")


def _mounted(volume: View, services: list[View]) -> bool:
    mounts = (mount for service in services for mount in service.each(*SPEC, "mounts"))
    return any(mount.text("type") == "volume" and mount.text("source") == volume.text("name") for mount in mounts)


def _documents(stack: Stack, key: str) -> Iterator[tuple[View, View]]:
    """The configs in YAML that have the key at their top, and what they hold."""
    for config in stack.of(CONFIG):
        try:
            content = parsed_yaml(config_text(config))
        except (yaml.YAMLError, ValueError):
            continue  # another program's language
        if isinstance(content, Mapping) and key in content:
            yield config, View(content, path=config.name)


def _hosts(scrape: View) -> Iterator[str]:
    """The services that a scrape configuration asks."""
    for found in scrape.each("dns_sd_configs"):
        yield from (name.removeprefix("tasks.") for name in found.texts("names"))
    for found in scrape.each("static_configs"):
        yield from (target.partition(":")[0].removeprefix("tasks.") for target in found.texts("targets"))


def _scraped(stack: Stack) -> dict[str, set[str]]:
    """The jobs of Prometheus, and the names of the services that each asks for metrics."""
    jobs: dict[str, set[str]] = {}
    for _, content in _documents(stack, "scrape_configs"):
        for scrape in content.each("scrape_configs"):
            jobs.setdefault(scrape.text("job_name"), set()).update(_hosts(scrape))
    return jobs


def _cluster(name: str) -> str:
    """What a member belongs to: `redis-2` to `redis`."""
    return re.sub(r"-\d+$", "", name)


def _services_scraped(stack: Stack, parameters: Parameters) -> Iterator[Problem]:
    scraped = set().union(*_scraped(stack).values())
    asked = {component(service) for service in stack.services if service.text("name") in scraped}
    asked |= {_cluster(name) for name in asked}
    for service in stack.services:
        exporter = parameters.get("exporters", {}).get(_cluster(component(service)))
        if component(service) not in asked and exporter not in asked:
            yield Problem(service, "is asked for metrics by nobody")


def _services_alerted(stack: Stack, _: Parameters) -> Iterator[Problem]:
    documents = list(_documents(stack, "groups"))
    groups = [group for _, content in documents for group in content.each("groups")]
    alerts = [rule for group in groups for rule in group.each("rules") if rule.has("alert")]
    for job, hosts in sorted(_scraped(stack).items()):
        services = [service for service in stack.services if service.text("name") in hosts]
        named = {job, *(component(service) for service in services)}
        if not any(_covers(alert, job, named) for alert in alerts):
            yield Problem(services[0] if services else None, f"has no alert that tells when the job {job} is down")
    # Last: at a preview it may not be known what is mounted.
    watchers = [service for service in stack.services if _cluster(component(service)) == PROMETHEUS]
    mounted = {mount.text("configName") for watcher in watchers for mount in watcher.each(*SPEC, "configs")}
    for config in [config for config, _ in documents]:
        if config.text("name") not in mounted:
            yield Problem(config, "is not mounted by Prometheus, so that its alerts never fire")


def _covers(alert: View, job: str, named: set[str]) -> bool:
    """Whether it looks at every job, at this one, or says that it is about this service."""
    expression = alert.text("expr")
    if "".join(expression.split()) == "up==0" or alert.text("labels", "service") in named:
        return True
    return any(
        value == job if operator == "=" else _matches(value, job)
        for operator, _, value in re.findall(r"""\bjob\s*(=~|=)\s*(["'])(.*?)\2""", expression)
    )


def _matches(pattern: str, job: str) -> bool:
    try:
        return re.fullmatch(pattern, job) is not None
    except re.error:
        return False


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
        remediation=f"Name it in {BACKED_UP} of a service whose component begins with `{BACKUP}`, or mount it there.",
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
        remediation="Add an alert on `up == 0`, or one for the job, to rules that Prometheus mounts.",
        judge_stack=_services_alerted,
    ),
)
