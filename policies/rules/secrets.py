"""A secret is a file that one user reads. Everything else of a service is shown by `docker inspect` to whoever asks."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Final

from policies.model import Parameters, Rule, Severity
from policies.view import CONFIG, CONTAINER, NETWORK, SERVICE, VOLUME, Malformed, Unknown, View, config_text

TASK: Final = ("taskSpec", "containerSpec")
# Docker's own, where nothing is set.
FILE_MODE: Final = 0o444
OWNER_READS: Final = 0o400

_SAYS_SECRET: Final = re.compile(
    r"passw(or)?d|passphrase|secret|credential|requirepass|masterauth|cli_auth$"
    r"|(^|_)(pass|pwd|pw|tokens?)(_|$)|(api|access|private|signing|encryption|account|license)_?key"
)
# What ends like this is about a secret, and is none itself.
_ABOUT: Final = frozenset(
    (
        *("file", "folder", "path", "dir", "directory", "endpoint", "url"),
        *("name", "user", "username", "id", "version", "type", "algorithm", "encryption", "method", "policy"),
        *("enabled", "required", "count", "length", "limit", "ttl", "seconds", "minutes", "hours", "days"),
    )
)
# etcd's name of a cluster, by which its members know that they do not belong to another one.
_NO_SECRETS: Final = ("initial_cluster_token",)
# Where the secret is, not what it is: a file that Swarm mounts, a variable, a template's placeholder.
_REFERENCE: Final = re.compile(r"/run/secrets/[\w./-]+|\$\w+|\$\{\w+\}|\$\(cat /run/secrets/[\w./-]+\)|\{\{.*\}\}")
_NO_VALUE: Final = frozenset(("true", "false", "yes", "no", "on", "off", "none", "null"))

_NAMED: Final = r"[A-Za-z_][\w.-]*"
_VALUE: Final = r"""(?P<value>"[^"\n]*"|'[^'\n]*'|\{\{.*?\}\}|\$\([^)\n]*\)|[^\s"',;&]+)"""
# The value is only looked at, so that names within it (`url=host?password=…`) are found as well.
_ASSIGNMENT: Final = re.compile(rf"""(?<![\w.])(?P<name>{_NAMED})["']?[ \t]*[:=][ \t]*(?={_VALUE})""")
_OPTION: Final = re.compile(rf"(?<!\S)(?P<name>--{_NAMED}|requirepass|masterauth)[ \t]+(?!-){_VALUE}")
_URL: Final = re.compile(r"""[A-Za-z][\w+.-]*://[^\s/@:'"]*:(?P<value>[^\s/@'"]+)@""")

BY_NAME: Final = "what its name says is a secret"
_FORMS: Final = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")),
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a GitHub token", re.compile(r"\bgh[opsur]_[0-9A-Za-z]{36}|\bgithub_pat_\w{22}")),
    ("a GitLab token", re.compile(r"\bglpat-[\w-]{20}")),
    ("a Slack token", re.compile(r"\bxox[abeoprs]-[0-9A-Za-z-]{10}")),
    ("a Google API key", re.compile(r"\bAIza[\w-]{35}")),
    ("a Stripe key", re.compile(r"\b[rs]k_live_[0-9A-Za-z]{16}")),
    ("a Pulumi access token", re.compile(r"\bpul-[0-9a-f]{40}\b")),
    ("a Swarm join token or key", re.compile(r"\bSWM(?:TKN|KEY)-1-[\w+/-]{25}")),
    ("a JSON web token", re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.")),
    ("an HAProxy user's password", re.compile(r"(?m)^[ \t]*user[ \t]+\S+[ \t]+(?:insecure-)?password[ \t]+\S")),
    ("a Redis user's password", re.compile(r"(?m)^[ \t]*user[ \t].*[ \t]>\S")),
)
# Random to look at, and meant to be seen.
_PUBLIC: Final = re.compile(
    r"-----BEGIN ((?:[A-Z0-9]+ )*(?:CERTIFICATE|PUBLIC KEY))-----.*?-----END \1-----", re.DOTALL
)

_WORD: Final = re.compile(r"(?<![\w+/-])[\w+/-]{24,}")
_MIN_HEX: Final = 32
# SHA-1, SHA-256, SHA-384, SHA-512: a key of that length cannot be told from a digest, and digests are everywhere here.
_DIGEST_LENGTHS: Final = frozenset((40, 64, 96, 128))
# Bits for each character. Random hexadecimal digits have about 3.6, random base64 of this length 4.2 and more.
_MIN_HEX_ENTROPY, _MIN_ENTROPY = 3.0, 3.8
# The share of neighbours that are of different kinds: about 0.65 in random base64, 0.2 in names.
_MIN_CHANGES: Final = 0.4


@dataclasses.dataclass(frozen=True)
class _Place:
    """A text of a resource: where it is, what names it (empty: nothing does), and itself."""

    where: str
    name: str
    text: str


def _pairs(resource: View, *path: str) -> Iterator[_Place]:
    where = ".".join(path)
    for key, value in resource.pairs(*path).items():
        yield _Place(f"{where}.{key}", key, value)


def _labels(resource: View, *path: str) -> Iterator[_Place]:
    where = ".".join(path)
    for key, value in resource.labels(*path).items():
        yield _Place(f"{where}.{key}", key, value)


def _arguments(resource: View, *path: str) -> Iterator[_Place]:
    """Each with the option before it as its name: `--password`, `x`."""
    where, option = ".".join(path), ""
    for number, text in enumerate(resource.texts(*path)):
        is_option = text.startswith("-")
        yield _Place(f"{where}[{number}]", "" if is_option else option, text)
        option = text if is_option and "=" not in text else ""


def _variables(resource: View, *path: str) -> Iterator[_Place]:
    """Written `NAME=value`. Without the sign the text may be anything, so that it must not be said."""
    where = ".".join(path)
    for number, text in enumerate(resource.texts(*path)):
        name, _, value = text.rpartition("=") if "=" not in text else text.partition("=")
        yield _Place(f"{where}.{name}" if name else f"{where}[{number}]", name, value)


def _of_service(service: View) -> Iterator[_Place]:
    yield from _labels(service, "labels")
    yield from _labels(service, *TASK, "labels")
    yield from _arguments(service, *TASK, "commands")
    yield from _arguments(service, *TASK, "args")
    yield from _arguments(service, *TASK, "healthcheck", "tests")
    yield from _pairs(service, "taskSpec", "logDriver", "options")
    for number, mount in enumerate(service.each(*TASK, "mounts")):
        for place in _pairs(mount, "volumeOptions", "driverOptions"):
            yield dataclasses.replace(place, where=f"{'.'.join(TASK)}.mounts[{number}].{place.where}")
    # Last, as it may hold what only the deployment will tell.
    yield from _pairs(service, *TASK, "env")


def _of_config(config: View) -> Iterator[_Place]:
    yield from _labels(config, "labels")
    if config.has("dataRaw"):
        yield _Place("dataRaw", "", config.text("dataRaw"))
    if config.has("data"):
        yield _Place("data", "", config_text(config))


def _of_container(container: View) -> Iterator[_Place]:
    yield from _labels(container, "labels")
    yield from _arguments(container, "entrypoints")
    yield from _arguments(container, "command")
    yield from _arguments(container, "healthcheck", "tests")
    yield from _pairs(container, "logOpts")
    for number, upload in enumerate(container.each("uploads")):
        yield _Place(f"uploads[{number}].content", "", upload.text("content"))
    yield from _variables(container, "envs")


def _of_network(network: View) -> Iterator[_Place]:
    yield from _labels(network, "labels")
    yield from _pairs(network, "options")


def _of_volume(volume: View) -> Iterator[_Place]:
    yield from _labels(volume, "labels")
    yield from _pairs(volume, "driverOpts")


_PLACES: Final = MappingProxyType(
    {SERVICE: _of_service, CONFIG: _of_config, CONTAINER: _of_container, NETWORK: _of_network, VOLUME: _of_volume}
)


def _says_secret(name: str) -> bool:
    """Whether what is called that is a secret: `DB_PASSWORD`, `apiKey`, `--token`; not `PASSWORD_FILE`."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    if not words or words[-1] in _ABOUT or words[0] in {"max", "min"}:
        return False
    joined = "_".join(words)
    return not joined.endswith(_NO_SECRETS) and _SAYS_SECRET.search(joined) is not None


def _is_value(text: str) -> bool:
    bare = text.strip().strip("\"'").strip()
    return bool(re.search(r"\w", bare)) and bare.lower() not in _NO_VALUE and not _REFERENCE.fullmatch(bare)


def _is_prose(text: str, found: re.Match[str]) -> bool:
    """Whether it is a colon in a comment's sentence: `# a file without passwords: they are put in later`."""
    before = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
    return ":" in found[0] and re.match(r"[ \t]*(#|;|//)[ \t]*[^\s:=]+[ \t]", before) is not None


def _kind(character: str) -> int:
    return 0 if character.islower() else 1 if character.isupper() else 2 if character.isdigit() else 3


def _entropy(word: str) -> float:
    """Shannon's, in bits for each character."""
    return -sum(n / len(word) * math.log2(n / len(word)) for n in Counter(word).values())


def _looks_random(word: str) -> bool:
    """Whether nobody has made it up: a key or a token, not a name, a path, a digest or a UUID."""
    if re.fullmatch(r"[0-9a-f-]+|[0-9A-F-]+", word):
        is_digits = "-" not in word and len(word) >= _MIN_HEX and len(word) not in _DIGEST_LENGTHS
        return is_digits and bool(re.search(r"[A-Fa-f]", word)) and _entropy(word) >= _MIN_HEX_ENTROPY
    # Beginnings of a digest as browsers write it, and of a public SSH key.
    if re.match(r"sha\d+-|AAAA", word):
        return False
    kinds = [_kind(character) for character in word]
    changes = sum(one != next_ for one, next_ in itertools.pairwise(kinds)) / (len(word) - 1)
    return {0, 1, 2} <= set(kinds) and changes >= _MIN_CHANGES and _entropy(word) >= _MIN_ENTROPY


def _suspicions(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Position and kind of what looks like a secret, several of one position perhaps."""
    if _says_secret(name) and _is_value(text):
        yield 0, BY_NAME
    for kind, form in _FORMS:
        yield from ((found.start(), kind) for found in form.finditer(text))
    for found in _URL.finditer(text):
        if _is_value(found["value"]):
            yield found.start(), "a URL with a password"
    for pattern in (_ASSIGNMENT, _OPTION):
        for found in pattern.finditer(text):
            if _says_secret(found["name"]) and _is_value(found["value"]) and not _is_prose(text, found):
                yield found.start(), BY_NAME
    for found in _WORD.finditer(text):
        if _looks_random(found[0]):
            yield found.start(), "a word that looks as random as a key"


def _in_plain_sight(resource: View, _: Parameters) -> Iterator[str]:
    """One sentence for each line of each text; never with the text itself."""
    for place in _PLACES[resource.type](resource):
        # As many lines as before, so that they can be named.
        text = _PUBLIC.sub(lambda found: "\n" * found[0].count("\n"), place.text)
        lines: dict[int, str] = {}
        for position, kind in _suspicions(place.name, text):
            lines.setdefault(text.count("\n", 0, position) + 1, kind)
        for line, kind in sorted(lines.items()):
            where = f"line {line} of {place.where}" if "\n" in place.text.strip() else place.where
            yield f"has {kind} in {where}"


def _too_open(mount: View) -> bool:
    return bool(int(mount.number("fileMode", default=FILE_MODE)) & ~OWNER_READS)


def _mounted_strictly(service: View, _: Parameters) -> Iterator[str]:
    mounts = list(service.each(*TASK, "secrets"))
    for mount in mounts:
        if _too_open(mount):
            mode = int(mount.number("fileMode", default=FILE_MODE))
            yield f"mounts the secret {mount.text('fileName')} with mode {mode:04o}, more than {OWNER_READS:04o}"
    user = service.text(*TASK, "user").partition(":")[0] if mounts else ""
    for mount in mounts:
        uid = mount.text("fileUid")
        if not uid:
            yield f"does not say for whom it mounts the secret {mount.text('fileName')}, so that it is root's"
        elif uid != user:
            runs_as = f"runs as {user}" if user else "does not say as whom it runs"
            yield f"mounts the secret {mount.text('fileName')} for the user {uid}, but {runs_as}"


def _readable_by_owner_alone(props: Any) -> Any:
    """Changed in place: what Pulumi hands over carries secrets and unknown values, which a copy would lose."""
    try:
        too_open = [number for number, mount in enumerate(View(props).each(*TASK, "secrets")) if _too_open(mount)]
    except (Unknown, Malformed):
        return None  # what is wrong, judging says
    for number in too_open:
        props["taskSpec"]["containerSpec"]["secrets"][number]["fileMode"] = OWNER_READS
    return props if too_open else None


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        id="no-secrets-in-plain-sight",
        title="No secret is in an environment, a label, a command or a config",
        severity=Severity.CRITICAL,
        description=(
            "Environments, labels, commands and configs are shown by `docker inspect`, and commands by `ps` as well; "
            "Pulumi keeps them in its state. Only a Swarm secret is encrypted at rest and a file for one user."
        ),
        remediation="Make it a new Swarm secret, mount it and give the program the path of the file.",
        references=("CIS Docker 1.6: 7.4",),
        types=tuple(_PLACES),
        judge=_in_plain_sight,
    ),
    Rule(
        id="secrets-mounted-strictly",
        title="A secret's file is readable by the container's user alone",
        severity=Severity.HIGH,
        description="Docker's default lets every user of the container read a secret, and makes root its owner.",
        remediation="Set fileMode to 256 (0400) and fileUid to the uid in taskSpec.containerSpec.user.",
        references=("CIS Docker 1.6: 7.4",),
        types=(SERVICE,),
        judge=_mounted_strictly,
        repair=_readable_by_owner_alone,
    ),
)
