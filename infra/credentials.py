"""The only place that makes or reads secrets: a SecretRef becomes an Output that Pulumi keeps encrypted.

Not called `secrets`: the program's folder is on Python's path, where that name would hide the standard library's.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import pulumi
import pulumi.dynamic
from pulumi.runtime.config import is_config_secret

from infra import certificate, names
from infra.certificate import EdgeCertificate
from infra.errors import SettingsError
from infra.render import DIGEST_LENGTH
from infra.settings import NAMESPACE
from infra.spec import SecretForm, SecretRef

# The passwords by which a user may log in.
Accepted = tuple[str, ...]

# Redis users by least privilege. The passwords stand as SHA-256, so that the file gives none away.
# The application has the commands that it uses, on keys of its own; monitoring reads figures and no data.
# Nobody can log in as the default user, which is off. A server that starts reads its append-only file as that user, and
# leaves out each transaction that it may not do, as the application's writes are (redis/redis#14541).
_REDIS_ACL = """\
user default off ~* &* +@all
user {app} on {app_passwords} resetchannels &pidea:* ~pidea:* -@all +get +mget +set +del +ping +publish \
+subscribe +unsubscribe +multi +exec
user {exporter} on {exporter_passwords} -@all +ping +info +client|list +client|setname +config|get +latency|latest \
+latency|histogram +slowlog|len +slowlog|get +memory|usage +dbsize +select
user {admin} on {admin_passwords} ~* &* +@all
user {backup} on {backup_passwords} resetchannels -@all +ping +info +psync +sync +replconf
"""
# In a cluster replicas log in to their primary, sentinels and the controller to every server.
_REDIS_CLUSTER_ACL = (
    _REDIS_ACL
    + """\
user {replication} on {replication_passwords} resetchannels -@all +psync +replconf +ping
user {sentinel} on {sentinel_passwords} resetchannels &__sentinel__:hello -@all +ping +info +role +subscribe +publish \
+multi +exec +slaveof +config|rewrite +client|setname +client|kill
user {controller} on {controller_passwords} resetchannels -@all +ping +info +replicaof +client|kill
"""
).replace("+dbsize +select", "+dbsize +select +role")
# Of the sentinels. The application asks them where the primary is; they ask one another for a vote.
_SENTINEL_ACL = """\
user default off
user {app} on {app_passwords} resetchannels -@all +ping +sentinel|masters +sentinel|master \
+sentinel|get-master-addr-by-name +sentinel|replicas +sentinel|slaves +sentinel|sentinels
user {exporter} on {exporter_passwords} resetchannels -@all +ping +info +client|setname \
+sentinel|masters +sentinel|master +sentinel|get-master-addr-by-name +sentinel|replicas +sentinel|slaves \
+sentinel|sentinels +sentinel|ckquorum
user {sentinel} on {sentinel_passwords} resetchannels &__sentinel__:hello -@all +ping +info +client|setname +publish \
+subscribe +sentinel|is-master-down-by-addr +sentinel|debug
user {controller} on {controller_passwords} resetchannels -@all +ping +sentinel|master +sentinel|replicas \
+sentinel|reset +sentinel|remove +sentinel|monitor +sentinel|set
user {admin} on {admin_passwords} ~* &* +@all
"""
# Servers and sentinels that one exporter can log in to, with and beyond those that there are.
_MOST_MEMBERS: Final = 7
_HAPROXY_USERLIST = "userlist operators\n  user {operator} insecure-password {password}\n"
_API_CLIENTS = "{client} {sha256}\n"
_RECIPES: Final[Mapping[SecretForm, str]] = {
    SecretForm.RANDOM: "",
    SecretForm.REDIS_ACL: _REDIS_ACL,
    SecretForm.REDIS_EXPORTER_PASSWORDS: "json",
    SecretForm.REDIS_CLUSTER_ACL: _REDIS_CLUSTER_ACL,
    SecretForm.REDIS_CLUSTER_EXPORTER_PASSWORDS: f"json of {_MOST_MEMBERS} servers and sentinels",
    SecretForm.SENTINEL_ACL: _SENTINEL_ACL,
    SecretForm.HAPROXY_USERLIST: _HAPROXY_USERLIST,
    SecretForm.API_CLIENTS: f"{_API_CLIENTS} of each that is accepted",
    SecretForm.EDGE_CERTIFICATE: "as it is set",
    SecretForm.RECEIVER: "as it is set, without what surrounds it",
    SecretForm.SERVER_LOGIN: "as it is set, with a line break at its end",
}
# What others let us in with: out of secret settings of the same name.
_LOGINS: Final = frozenset({SecretForm.RECEIVER, SecretForm.SERVER_LOGIN})
_WARN_BEFORE: Final = datetime.timedelta(days=21)
_CERTIFICATE_KEY: Final = f"{NAMESPACE}:{names.EDGE_CERTIFICATE_SETTING}"


class _RandomPasswordProvider(pulumi.dynamic.ResourceProvider):
    """Makes a password and the one after it once; only another version moves on to the next."""

    def create(self, props: Any) -> pulumi.dynamic.CreateResult:
        import secrets  # in here: what is pickled into the state stays small

        made = {"value": secrets.token_urlsafe(32), "previous": "", "next": secrets.token_urlsafe(32)}
        return pulumi.dynamic.CreateResult(secrets.token_hex(8), {"version": props["version"], **made})

    def diff(self, _id: str, _olds: Any, _news: Any) -> pulumi.dynamic.DiffResult:
        # A state of before there was a next one gets it.
        return pulumi.dynamic.DiffResult(changes=_olds["version"] != _news["version"] or "next" not in _olds)

    def update(self, _id: str, _olds: Any, _news: Any) -> pulumi.dynamic.UpdateResult:
        import secrets

        made = {"version": _news["version"], "next": secrets.token_urlsafe(32)}
        if _olds["version"] == _news["version"]:
            return pulumi.dynamic.UpdateResult({**made, "value": _olds["value"], "previous": ""})
        if _news["version"] < _olds["version"] and _olds.get("previous"):
            # Back: a secret that an interrupted rotation left in use has a name, and must keep what it held.
            back = {"value": _olds["previous"], "previous": "", "next": _olds["value"]}
            return pulumi.dynamic.UpdateResult({**made, **back})
        value = _olds.get("next") or secrets.token_urlsafe(32)
        return pulumi.dynamic.UpdateResult({**made, "value": value, "previous": _olds["value"]})


class RandomPassword(pulumi.dynamic.Resource):
    """43 characters of a URL-safe alphabet, 256 bits of randomness; all three are secret.

    `value` is in use; `previous` was before the version was last counted up, empty at first; `next` will be after.
    """

    value: pulumi.Output[str]
    previous: pulumi.Output[str]
    next: pulumi.Output[str]

    def __init__(self, name: str, version: int, opts: pulumi.ResourceOptions) -> None:
        generations = ["value", "previous", "next"]
        secret = pulumi.ResourceOptions(additional_secret_outputs=generations)
        super().__init__(
            _RandomPasswordProvider(),
            name,
            {"version": version, **dict.fromkeys(generations)},
            pulumi.ResourceOptions.merge(opts, secret),
        )


class Credentials(pulumi.ComponentResource):
    """A random password for each SecretRef of that form, what is made of them, and what is set from outside."""

    def __init__(
        self,
        name: str,
        specs: Sequence[SecretRef],
        *,
        instance: str,
        version: int,
        edge_certificate: EdgeCertificate | None = None,
        login_digests: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__("pidea:platform:Credentials", name)
        self._instance = instance
        self._secrets_version = version
        self._edge_certificate = edge_certificate
        self._login_digests = login_digests
        child = pulumi.ResourceOptions(parent=self)
        self._passwords = {
            spec.name: RandomPassword(f"password-{spec.name}", _version_of(spec, version), child)
            for spec in specs
            if spec.form is SecretForm.RANDOM
        }
        self.register_outputs({})

    def password(self, name: str) -> pulumi.Output[str]:
        """A random password by its name."""
        return self._passwords[name].value

    def version(self, spec: SecretRef) -> str:
        """What tells the secret from an earlier one of its name: a part of the name in Docker."""
        if spec.form is SecretForm.EDGE_CERTIFICATE:
            return self._edge_certificate.digest if self._edge_certificate else "unset"
        if spec.form in _LOGINS:
            return self._login_digests.get(spec.name, "unset")
        return f"v{self._secrets_version}-{recipe_digest(spec.form)}"

    def content(self, spec: SecretRef) -> pulumi.Output[str]:
        """What the secret's file holds."""
        if spec.form is SecretForm.RANDOM:
            return self._passwords[spec.name].value
        if spec.form is SecretForm.EDGE_CERTIFICATE:
            if self._edge_certificate is None:
                return pulumi.Output.secret("set before the update")
            return pulumi.Config(NAMESPACE).require_secret(names.EDGE_CERTIFICATE_SETTING)
        if spec.form in _LOGINS:
            if spec.name not in self._login_digests:
                return pulumi.Output.secret("set before the update")
            # Alertmanager would send a line break at the end of a file along; SSH reads no key without one.
            end = "\n" if spec.form is SecretForm.SERVER_LOGIN else ""
            return pulumi.Config(NAMESPACE).require_secret(spec.name).apply(lambda text: text.strip() + end)
        passwords = [self._passwords[source] for source in spec.sources]
        if spec.form in _ACCEPTING:
            accepted = [_accepted(spec.form, password) for password in passwords]
            return pulumi.Output.all(*accepted).apply(lambda values: _ACCEPTING[spec.form](*map(tuple, values)))
        make: Mapping[SecretForm, Callable[..., str]] = {
            SecretForm.REDIS_EXPORTER_PASSWORDS: self._redis_exporter_passwords,
            SecretForm.REDIS_CLUSTER_EXPORTER_PASSWORDS: self._redis_cluster_exporter_passwords,
            SecretForm.HAPROXY_USERLIST: haproxy_userlist,
        }
        used = pulumi.Output.all(*(password.value for password in passwords))
        return used.apply(lambda values: make[spec.form](*values))

    def _redis_exporter_passwords(self, password: str) -> str:
        host = names.physical(self._instance, names.REDIS)
        return json.dumps({f"redis://{host}:{names.REDIS_PORT}": password})

    def _redis_cluster_exporter_passwords(self, password: str) -> str:
        return json.dumps(
            {
                f"redis://{names.physical(self._instance, names.member(service, slot))}:{port}": password
                for service, port in ((names.REDIS, names.REDIS_PORT), (names.SENTINEL, names.SENTINEL_PORT))
                for slot in range(1, _MOST_MEMBERS + 1)
            }
        )


def _accepted(form: SecretForm, password: RandomPassword) -> pulumi.Output[list[str]]:
    """The passwords by which its user may log in where a secret of that form says so.

    Members of a cluster change over one by one: those that did know the next password of the others, and the others
    the previous one of theirs. Who calls the backend has a token until the version is counted up a second time. A
    server alone has nobody to wait for.
    """
    if form is SecretForm.REDIS_ACL:
        return pulumi.Output.all(password.value)
    if form is SecretForm.API_CLIENTS:
        return pulumi.Output.all(password.value, password.previous)
    return pulumi.Output.all(password.value, password.previous, password.next)


def _version_of(spec: SecretRef, version: int) -> int:
    # A repository opens with the password that it was made with, or with none.
    return 1 if spec.name == names.BACKUP_REPOSITORY_PASSWORD else version


def edge_certificate() -> EdgeCertificate | None:
    """The certificate of the secret setting `pidea:edgeCertificate`, judged; None in a preview without one.

    The engine hands the setting to the program in plain, and this reads it so: its problems must be known before the
    first resource, and a new certificate must give the Swarm secret a new name, which cannot be an Output. Of what is
    read only the public part leaves this function; the content itself goes to the Swarm secret as a secret Output.
    Raises SettingsError, one line for each problem.
    """
    text = pulumi.Config(NAMESPACE).get(names.EDGE_CERTIFICATE_SETTING)
    if text is None:
        missing = (
            f"{_CERTIFICATE_KEY}: must be set where edge.tls is true, to the certificate and its private key (PEM): "
            f"`pulumi config set --secret {_CERTIFICATE_KEY} < FILE`, or have one made by "
            "`./pidea certificate STACK --self-signed`"
        )
        if not pulumi.runtime.is_dry_run():
            raise SettingsError([missing])
        # Who reviews a change need not have the key.
        pulumi.log.warn(f"{missing}. This preview goes on without.")
        return None
    if not is_config_secret(_CERTIFICATE_KEY):
        raise SettingsError([f"{_CERTIFICATE_KEY}: holds a private key in plain text; set it with --secret"])
    found = certificate.read(text, _CERTIFICATE_KEY, datetime.datetime.now(datetime.UTC))
    left = found.not_after - datetime.datetime.now(datetime.UTC)
    if left < _WARN_BEFORE:
        pulumi.log.warn(f"{_CERTIFICATE_KEY}: ends in {left.days} days, on {found.not_after:%Y-%m-%d}")
    return found


def login_digests(settings: Sequence[str], instance: str) -> Mapping[str, str]:
    """What tells the secret of each receiver or server from an earlier one, by the secret setting that holds it; of
    what is read only this leaves. One that is not set is missing in a preview.

    A slow hash: a mail server's password may be short, and the digest stands in a name that everybody can read.
    Raises SettingsError, one line for each problem.
    """
    found, problems = {}, []
    for setting in settings:
        key = f"{NAMESPACE}:{setting}"
        text = (pulumi.Config(NAMESPACE).get(setting) or "").strip()
        if not text:
            whose = "receiver" if setting.startswith(names.RECEIVER_PREFIX) else "server"
            problems.append(f"{key}: must be set to the {whose}'s secret: `pulumi config set --secret {key} < FILE`")
        elif not is_config_secret(key):
            raise SettingsError([f"{key}: stands in plain text; set it with --secret"])
        else:
            derived = hashlib.scrypt(text.encode(), salt=f"{instance}/{setting}".encode(), n=2**14, r=8, p=1)
            found[setting] = derived.hex()[:DIGEST_LENGTH]
    if problems and not pulumi.runtime.is_dry_run():
        raise SettingsError(problems)
    for problem in problems:
        pulumi.log.warn(f"{problem}. This preview goes on without.")
    return found


def recipe_digest(form: SecretForm) -> str:
    """Six hexadecimal digits that change with the form's recipe: a new recipe must make a new secret."""
    return hashlib.sha256(_RECIPES[form].encode()).hexdigest()[:6]


def redis_acl(
    app_passwords: Accepted, exporter_passwords: Accepted, admin_passwords: Accepted, backup_passwords: Accepted
) -> str:
    """Redis' ACL file."""
    return _REDIS_ACL.format(
        app=names.REDIS_APP_USERNAME,
        exporter=names.REDIS_EXPORTER_USERNAME,
        admin=names.REDIS_ADMIN_USERNAME,
        backup=names.REDIS_BACKUP_USERNAME,
        app_passwords=_redis_hashes(app_passwords),
        exporter_passwords=_redis_hashes(exporter_passwords),
        admin_passwords=_redis_hashes(admin_passwords),
        backup_passwords=_redis_hashes(backup_passwords),
    )


def redis_cluster_acl(
    app_passwords: Accepted,
    exporter_passwords: Accepted,
    admin_passwords: Accepted,
    backup_passwords: Accepted,
    replication_passwords: Accepted,
    sentinel_passwords: Accepted,
    controller_passwords: Accepted,
) -> str:
    """The ACL file of the servers of a cluster."""
    return _REDIS_CLUSTER_ACL.format(
        app=names.REDIS_APP_USERNAME,
        exporter=names.REDIS_EXPORTER_USERNAME,
        admin=names.REDIS_ADMIN_USERNAME,
        backup=names.REDIS_BACKUP_USERNAME,
        replication=names.REDIS_REPLICATION_USERNAME,
        sentinel=names.REDIS_SENTINEL_USERNAME,
        controller=names.REDIS_CONTROLLER_USERNAME,
        app_passwords=_redis_hashes(app_passwords),
        exporter_passwords=_redis_hashes(exporter_passwords),
        admin_passwords=_redis_hashes(admin_passwords),
        backup_passwords=_redis_hashes(backup_passwords),
        replication_passwords=_redis_hashes(replication_passwords),
        sentinel_passwords=_redis_hashes(sentinel_passwords),
        controller_passwords=_redis_hashes(controller_passwords),
    )


def sentinel_acl(
    app_passwords: Accepted,
    exporter_passwords: Accepted,
    admin_passwords: Accepted,
    sentinel_passwords: Accepted,
    controller_passwords: Accepted,
) -> str:
    """The ACL file of the sentinels."""
    return _SENTINEL_ACL.format(
        app=names.REDIS_APP_USERNAME,
        exporter=names.REDIS_EXPORTER_USERNAME,
        admin=names.REDIS_ADMIN_USERNAME,
        sentinel=names.REDIS_SENTINEL_USERNAME,
        controller=names.REDIS_CONTROLLER_USERNAME,
        app_passwords=_redis_hashes(app_passwords),
        exporter_passwords=_redis_hashes(exporter_passwords),
        admin_passwords=_redis_hashes(admin_passwords),
        sentinel_passwords=_redis_hashes(sentinel_passwords),
        controller_passwords=_redis_hashes(controller_passwords),
    )


def haproxy_userlist(operator_password: str) -> str:
    """HAProxy's list of operators.

    Not hashed: HAProxy would compute a slow hash on its event loop for every request, and the file is as secret as the
    hash would have to be.
    """
    return _HAPROXY_USERLIST.format(operator=names.OPERATOR_USERNAME, password=operator_password)


def api_clients(tokens: Accepted) -> str:
    """The backend's list of clients: it can tell a token by its digest, but gives none away."""
    return "".join(_API_CLIENTS.format(client=names.API_CLIENT, sha256=_sha256(token)) for token in tokens if token)


# What is made of all passwords that are accepted, not only of those in use.
_ACCEPTING: Final[Mapping[SecretForm, Callable[..., str]]] = {
    SecretForm.REDIS_ACL: redis_acl,
    SecretForm.REDIS_CLUSTER_ACL: redis_cluster_acl,
    SecretForm.SENTINEL_ACL: sentinel_acl,
    SecretForm.API_CLIENTS: api_clients,
}


def _redis_hashes(passwords: Accepted) -> str:
    return " ".join(f"#{_sha256(password)}" for password in passwords if password)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
