"""What a container may do to the machine it runs on: CIS Docker Benchmark 1.6, section 5."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from posixpath import normpath
from typing import Any, Final

from policies.model import Parameters, Rule, Severity
from policies.view import CONTAINER, SERVICE, VOLUME, View, listed

SPEC: Final = ("taskSpec", "containerSpec")
BOTH: Final = (SERVICE, CONTAINER)
ROOT: Final = "root"
ALL: Final = "ALL"
ENGINE_SOCKETS: Final = (
    *("docker.sock", "containerd.sock", "dockershim.sock", "cri-dockerd.sock", "crio.sock", "podman.sock"),
    "buildkitd.sock",
)
# What is in there is made for talking to an engine. A folder further up is the other rule's: the node exporter sees /,
# and Linux lets nobody but root and its group open the sockets in it.
ENGINE_FOLDERS: Final = ("/run/docker", "/run/containerd", "/run/crio", "/run/podman")
RUN: Final = "/run"
# Whoever writes there owns the machine.
SENSITIVE: Final = (
    RUN,
    *(f"/{name}" for name in ["bin", "boot", "dev", "etc", "lib", "lib64", "proc", "root", "sbin", "sys", "usr"]),
    *("/var/lib/docker", "/var/lib/containerd"),
)
# Docker has no namespace for UTS that a resource of either type could give up.
HOST_MODES: Final = ("pidMode", "ipcMode", "usernsMode", "cgroupnsMode")
UNCONFINED: Final = ("seccomp:unconfined", "apparmor:unconfined", "label:disable", "systempaths:unconfined")
# The benchmark's number, for containers outside of Swarm.
MAX_RETRIES: Final = 5
SSH_SERVERS: Final = ("sshd", "dropbear")
COMMANDS: Final = {SERVICE: ("commands", "args"), CONTAINER: ("entrypoints", "command")}


def _spec(resource: View) -> tuple[str, ...]:
    return SPEC if resource.type == SERVICE else ()


def _non_root(resource: View, _: Parameters) -> Iterator[str]:
    given = resource.text(*_spec(resource), "user")
    user, _colon, group = given.partition(":")
    if not user:
        yield "does not say as whom it runs, which is root unless its image says otherwise"
        return
    if _is_root(user):
        yield "runs as root"
    elif not _is_number(user):
        yield f"runs as {user}, of whom only the image knows whether it is root"
    if not group:
        yield f"runs as {user} without a group, which is root's unless its image knows the user"
    elif _is_root(group):
        yield "runs in the group of root"
    elif not _is_number(group):
        yield f"runs in the group {group}, of which only the image knows whether it is root's"


def _is_number(name: str) -> bool:
    return re.fullmatch(r"[0-9]+", name) is not None


def _is_root(name: str) -> bool:
    return name == ROOT or (_is_number(name) and int(name) == 0)


def _capabilities(resource: View, parameters: Parameters) -> Iterator[str]:
    fields = ("capDrops", "capAdds") if resource.type == SERVICE else ("drops", "adds")
    path = SPEC if resource.type == SERVICE else ("capabilities",)
    drops, adds = ({_capability(name) for name in resource.texts(*path, field)} for field in fields)
    if ALL not in drops:
        yield "keeps the capabilities that Docker gives by default"
    extra = adds - {_capability(name) for name in parameters.get("allowed", ())}
    if extra:
        yield f"asks for capabilities that are not allowed: {listed(extra)}"


def _capability(name: str) -> str:
    # As Docker reads it.
    return name.upper().removeprefix("CAP_")


def _drop_capabilities(props: Any) -> Any:
    if "taskSpec" in props:
        return _set(_inside(props, *SPEC), "capDrops", [ALL], props)
    if not isinstance(_value(props, "capabilities"), Mapping):
        return _set(props, "capabilities", {"drops": [ALL]}, props)
    return _set(props["capabilities"], "drops", [ALL], props)


def _read_only(resource: View, _: Parameters) -> Iterator[str]:
    if not resource.flag(*_spec(resource), "readOnly"):
        yield "can write to its root file system"


def _make_read_only(props: Any) -> Any:
    return _set(_inside(props, *SPEC) if "taskSpec" in props else props, "readOnly", True, props)


def _value(props: Any, key: str) -> Any:
    return props[key] if key in props else None  # noqa: SIM401 - the same for proxies and for what they wrap


def _inside(props: Any, *path: str) -> Any:
    """The object at the path; None where it is not there or not known yet."""
    for key in path:
        props = _value(props, key)
        if not isinstance(props, Mapping):
            return None
    return props


def _set(target: Any, key: str, to: Any, props: Any) -> Any:
    """`props` with another value in one of its objects; None where nothing changes. Proxies keep what is secret so."""
    if target is None:
        return None
    now = _value(target, key)
    same = _names(now) >= set(to) if isinstance(to, list) else now == to
    if same:
        return None
    target[key] = to
    return props


def _names(found: Any) -> set[str]:
    if found is None or isinstance(found, str):
        return set()
    return {_capability(found[number]) for number in range(len(found))}


def _privileged(container: View, _: Parameters) -> Iterator[str]:
    if container.flag("privileged"):
        yield "is privileged, which is root on the machine"


def _binds(resource: View) -> Iterator[tuple[str, bool, View]]:
    """Folders of the machine in the container: which, whether the driver's options make it read-only, the mount.

    The mount's own word on that is for who needs it: it may be unknown.
    """
    if resource.type == VOLUME:
        yield from _bound(resource, "driverOpts")
        return
    for mount in resource.each(*_spec(resource), "mounts"):
        kind = mount.text("type")
        if kind == "bind":
            yield mount.text("source"), False, mount
        elif kind == "volume":
            yield from _bound(mount, "volumeOptions", "driverOptions")
    if resource.type == CONTAINER:
        for volume in resource.each("volumes"):
            if volume.has("hostPath"):
                yield volume.text("hostPath"), False, volume


def _bound(volume: View, *path: str) -> Iterator[tuple[str, bool, View]]:
    """A volume can be another name for a folder of the machine."""
    options = volume.pairs(*path)
    words = options.get("o", "").split(",")
    if "device" in options and ("bind" in words or "rbind" in words):
        yield options["device"], "ro" in words, volume


def _folder(source: str) -> PurePosixPath:
    path = PurePosixPath("/" + normpath(source).lstrip("/"))
    # A link to the same folder on every Linux of these years.
    return RUN / path.relative_to("/var/run") if path.is_relative_to("/var/run") else path


def _is_engine(path: PurePosixPath) -> bool:
    return (
        path.name in ENGINE_SOCKETS
        or path == PurePosixPath(RUN)
        or any(path.is_relative_to(folder) for folder in ENGINE_FOLDERS)
    )


def _engine_socket(resource: View, _: Parameters) -> Iterator[str]:
    for source, _fixed, _mount in _binds(resource):
        if _is_engine(_folder(source)):
            yield f"has the engine's socket by {source}, which is root on the machine, read-only or not"


def _host_folders(resource: View, _: Parameters) -> Iterator[str]:
    for source, fixed, mount in _binds(resource):
        path = _folder(source)
        if path.name in ENGINE_SOCKETS:
            continue  # said by the rule about the engine's socket
        touched = any(path.is_relative_to(folder) or PurePosixPath(folder).is_relative_to(path) for folder in SENSITIVE)
        if touched and not fixed and not mount.flag("readOnly"):
            yield f"can write to {source} of the machine"


def _propagation(resource: View, _: Parameters) -> Iterator[str]:
    for mount in resource.each(*_spec(resource), "mounts"):
        mode = mount.text("bindOptions", "propagation")
        if mode in ("shared", "rshared"):
            yield f"mounts {mount.text('target')} with {mode} propagation"


def _host_namespaces(container: View, _: Parameters) -> Iterator[str]:
    for mode in HOST_MODES:
        if container.text(mode) == "host":
            yield f"shares a namespace of the machine: {mode} is host"


def _cgroup(container: View, _: Parameters) -> Iterator[str]:
    parent = container.text("cgroupParent")
    if parent:
        yield f"is in the control group {parent}, past the limits of Docker's own"


def _confinement(resource: View, _: Parameters) -> Iterator[str]:
    if resource.type == CONTAINER:
        for option in resource.texts("securityOpts"):
            if option.replace("=", ":", 1) in UNCONFINED:
                yield f"runs without confinement: {option}"
    elif resource.flag(*SPEC, "privileges", "seLinuxContext", "disable"):
        yield "runs without confinement: SELinux is disabled"


def _new_privileges(container: View, _: Parameters) -> Iterator[str]:
    options = [option.replace("=", ":", 1) for option in container.texts("securityOpts")]
    if "no-new-privileges" not in options and "no-new-privileges:true" not in options:
        yield "can gain rights by a program with the setuid bit"


def _devices(container: View, _: Parameters) -> Iterator[str]:
    for device in container.each("devices"):
        yield f"has the machine's device {device.text('hostPath')}"
    by = {
        "deviceRequests": list(container.each("deviceRequests")),
        "deviceCgroupRules": container.texts("deviceCgroupRules"),
        "gpus": container.text("gpus"),
    }
    yield from (f"has devices of the machine by {field}" for field, found in by.items() if found)


def _ulimits(container: View, parameters: Parameters) -> Iterator[str]:
    extra = {limit.text("name") for limit in container.each("ulimits")} - set(parameters.get("allowed", ()))
    if extra:
        yield f"overrides limits of the engine: {listed(extra)}"


def _restarts(resource: View, _: Parameters) -> Iterator[str]:
    if resource.type == CONTAINER:
        yield from _restarts_of_container(resource)
        return
    path = ("taskSpec", "restartPolicy")
    # Without a policy Swarm waits 5 s. With one the provider sends every field, and a delay that is not set as 0.
    if not resource.has(*path) or resource.text(*path, "condition", default="any") == "none":
        return
    if resource.seconds(*path, "delay") <= 0:
        yield "is restarted without a pause, so that a broken start takes a whole processor"


def _restarts_of_container(container: View) -> Iterator[str]:
    policy = container.text("restart", default="no")
    retries = container.number("maxRetryCount")
    if policy in ("always", "unless-stopped") or (policy == "on-failure" and retries == 0):
        yield f"is restarted without end: restart is {policy}"
    elif policy == "on-failure" and retries > MAX_RETRIES:
        yield f"is restarted {retries:g} times; at most {MAX_RETRIES} are of use"


def _no_remote_shell(resource: View, _: Parameters) -> Iterator[str]:
    for field in COMMANDS[resource.type]:
        for word in resource.texts(*_spec(resource), field):
            # Also where a shell is to start it.
            for part in re.split(r"[^\w./-]+", word):
                if PurePosixPath(part).name in SSH_SERVERS:
                    yield f"starts {PurePosixPath(part).name}"


def _cis(*numbers: str) -> tuple[str, ...]:
    return tuple(f"CIS Docker 1.6: {number}" for number in numbers)


def _names_allowed(of: str) -> Mapping[str, Mapping[str, Any]]:
    return {"allowed": {"type": "array", "items": {"type": "string"}, "description": of}}


RULES: Final = (
    Rule(
        id="runs-as-non-root",
        title="Containers do not run as root",
        severity=Severity.HIGH,
        description="Root in a container that breaks out is root on the machine. A name is what the image makes of it.",
        remediation="Set user to numbers above 0, such as 10001:10001, and give it the files that it needs.",
        references=_cis("4.1"),
        types=BOTH,
        judge=_non_root,
    ),
    Rule(
        id="drops-capabilities",
        title="Containers have no capabilities but those that are allowed",
        severity=Severity.HIGH,
        description="Docker gives fourteen capabilities to every container; our services need none.",
        remediation="Set capDrops to [ALL]; allow what is really needed in policies/environments.py.",
        references=_cis("5.4"),
        types=BOTH,
        judge=_capabilities,
        repair=_drop_capabilities,
        parameters=_names_allowed("Capabilities that may be added, without CAP_."),
    ),
    Rule(
        id="read-only-root",
        title="The root file system is read-only",
        severity=Severity.MEDIUM,
        description="What cannot be written to cannot be changed by who breaks in, and nothing is lost with a task.",
        remediation="Set readOnly to true; give volumes and tmpfs to what must be written.",
        references=_cis("5.13"),
        types=BOTH,
        judge=_read_only,
        repair=_make_read_only,
    ),
    Rule(
        id="not-privileged",
        title="No container is privileged",
        severity=Severity.CRITICAL,
        description="A privileged container has all capabilities and all devices of the machine.",
        remediation="Take privileged away and allow single capabilities.",
        references=_cis("5.5"),
        types=(CONTAINER,),
        judge=_privileged,
    ),
    Rule(
        id="no-engine-socket",
        title="No container has the engine's socket",
        severity=Severity.CRITICAL,
        description="Who can talk to the engine can start a privileged container. A socket takes writes read-only too.",
        remediation="Take the mount away; ask the engine from outside of containers.",
        references=_cis("5.32"),
        types=(*BOTH, VOLUME),
        judge=_engine_socket,
    ),
    Rule(
        id="no-writable-host-folders",
        title="The machine's own folders are not writable in containers",
        severity=Severity.HIGH,
        description="A container that can write to the machine's system folders can become root on it.",
        remediation="Mount them read-only, or use a named volume.",
        references=_cis("5.6"),
        types=(*BOTH, VOLUME),
        judge=_host_folders,
    ),
    Rule(
        id="no-shared-propagation",
        title="Mounts do not propagate to the machine",
        severity=Severity.MEDIUM,
        description="With shared propagation what a container mounts appears on the machine.",
        remediation="Take bindOptions.propagation away, or set it to rprivate.",
        references=_cis("5.20"),
        types=BOTH,
        judge=_propagation,
    ),
    Rule(
        id="own-namespaces",
        title="Containers have namespaces of their own",
        severity=Severity.HIGH,
        description="In the machine's process, IPC or user namespace a container sees and reaches its processes.",
        remediation="Take pidMode, ipcMode, usernsMode and cgroupnsMode away.",
        references=_cis("5.16", "5.17", "5.31"),
        types=(CONTAINER,),
        judge=_host_namespaces,
    ),
    Rule(
        id="own-cgroup",
        title="Containers are in the control group that Docker makes for them",
        severity=Severity.MEDIUM,
        description="In another control group other limits count than those that the resource names.",
        remediation="Take cgroupParent away.",
        references=_cis("5.25"),
        types=(CONTAINER,),
        judge=_cgroup,
    ),
    Rule(
        id="stays-confined",
        title="AppArmor, SELinux and seccomp stay on",
        severity=Severity.HIGH,
        description="The default profiles keep containers from system calls that they do not need.",
        remediation="Take the option away.",
        references=_cis("5.2", "5.3", "5.22"),
        types=BOTH,
        judge=_confinement,
    ),
    Rule(
        id="no-new-privileges",
        title="Containers cannot gain rights",
        severity=Severity.MEDIUM,
        description="A program with the setuid bit gives its owner's rights to whoever runs it, root's above all.",
        remediation="Add no-new-privileges:true to securityOpts.",
        references=_cis("5.26"),
        types=(CONTAINER,),
        judge=_new_privileges,
    ),
    Rule(
        id="no-host-devices",
        title="Containers have no devices of the machine",
        severity=Severity.HIGH,
        description="A device is a way around the file system's permissions.",
        remediation="Take devices, deviceRequests, deviceCgroupRules and gpus away.",
        references=_cis("5.18"),
        types=(CONTAINER,),
        judge=_devices,
    ),
    Rule(
        id="default-ulimits",
        title="Limits of the engine are overridden only where that is allowed",
        severity=Severity.LOW,
        description="The engine's limits keep one container from taking all files and processes of the machine.",
        remediation="Take ulimits away, or allow them in policies/environments.py.",
        references=_cis("5.19"),
        types=(CONTAINER,),
        judge=_ulimits,
        parameters=_names_allowed("Limits that may be overridden."),
    ),
    Rule(
        id="restarts-with-a-pause",
        title="What fails is restarted after a pause, or only some times",
        severity=Severity.LOW,
        description="Swarm restarts without end. Without a pause a broken start takes a processor and fills the logs.",
        remediation="Set restartPolicy.delay to some seconds; outside of Swarm restart to on-failure, at most 5 times.",
        references=_cis("5.15"),
        types=BOTH,
        judge=_restarts,
    ),
    Rule(
        id="no-remote-shell",
        title="No container runs an SSH server",
        severity=Severity.MEDIUM,
        description="A shell into a container goes around the login and the log of the machine.",
        remediation="Use docker exec.",
        references=_cis("5.7"),
        types=BOTH,
        judge=_no_remote_shell,
    ),
)
