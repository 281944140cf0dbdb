"""The only place that makes or reads secrets: a SecretRef becomes an Output that Pulumi keeps encrypted.

Not called `secrets`: the program's folder is on Python's path, where that name would hide the standard library's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pulumi
import pulumi.dynamic

from infra import names
from infra.spec import SecretForm, SecretRef

# Redis users by least privilege. The passwords stand as SHA-256, so that the file gives none away.
# The application has the commands that it uses, on keys of its own; monitoring reads figures and no data.
_REDIS_ACL = """\
user default off
user {app} on #{app_sha256} resetchannels &pidea:* ~pidea:* -@all +get +mget +set +del +ping +publish \
+subscribe +unsubscribe +multi +exec
user {exporter} on #{exporter_sha256} -@all +ping +info +client|list +client|setname +config|get +latency|latest \
+latency|histogram +slowlog|len +slowlog|get +memory|usage +dbsize +select
user {admin} on #{admin_sha256} ~* &* +@all
"""
_HAPROXY_USERLIST = "userlist operators\n  user {operator} insecure-password {password}\n"
_API_CLIENTS = "{client} {sha256}\n"
_RECIPES: Final[Mapping[SecretForm, str]] = {
    SecretForm.RANDOM: "",
    SecretForm.REDIS_ACL: _REDIS_ACL,
    SecretForm.REDIS_EXPORTER_PASSWORDS: "json",
    SecretForm.HAPROXY_USERLIST: _HAPROXY_USERLIST,
    SecretForm.API_CLIENTS: _API_CLIENTS,
}


class _RandomPasswordProvider(pulumi.dynamic.ResourceProvider):
    """Makes a password once; only another version makes it anew."""

    def create(self, props: Any) -> pulumi.dynamic.CreateResult:
        import secrets  # in here: what is pickled into the state stays small

        token = secrets.token_urlsafe(32)
        return pulumi.dynamic.CreateResult(secrets.token_hex(8), {"version": props["version"], "value": token})

    def diff(self, _id: str, _olds: Any, _news: Any) -> pulumi.dynamic.DiffResult:
        changed = _olds["version"] != _news["version"]
        return pulumi.dynamic.DiffResult(changes=changed, replaces=["version"] if changed else [])


class RandomPassword(pulumi.dynamic.Resource):
    """43 characters of a URL-safe alphabet, 256 bits of randomness; `value` is secret."""

    value: pulumi.Output[str]

    def __init__(self, name: str, version: int, opts: pulumi.ResourceOptions) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["value"])
        super().__init__(
            _RandomPasswordProvider(),
            name,
            {"version": version, "value": None},
            pulumi.ResourceOptions.merge(opts, secret),
        )


class Credentials(pulumi.ComponentResource):
    """A random password for each SecretRef of that form, and what is made of them."""

    def __init__(self, name: str, specs: Sequence[SecretRef], *, instance: str, version: int) -> None:
        super().__init__("pidea:platform:Credentials", name)
        self._instance = instance
        child = pulumi.ResourceOptions(parent=self)
        self._passwords = {
            spec.name: RandomPassword(f"password-{spec.name}", version, child).value
            for spec in specs
            if spec.form is SecretForm.RANDOM
        }
        self.register_outputs({})

    def password(self, name: str) -> pulumi.Output[str]:
        """A random password by its name."""
        return self._passwords[name]

    def content(self, spec: SecretRef) -> pulumi.Output[str]:
        """What the secret's file holds."""
        if spec.form is SecretForm.RANDOM:
            return self._passwords[spec.name]
        make: Mapping[SecretForm, Callable[..., str]] = {
            SecretForm.REDIS_ACL: redis_acl,
            SecretForm.REDIS_EXPORTER_PASSWORDS: self._redis_exporter_passwords,
            SecretForm.HAPROXY_USERLIST: haproxy_userlist,
            SecretForm.API_CLIENTS: api_clients,
        }
        passwords = pulumi.Output.all(*(self._passwords[source] for source in spec.sources))
        return passwords.apply(lambda values: make[spec.form](*values))

    def _redis_exporter_passwords(self, password: str) -> str:
        host = names.physical(self._instance, names.REDIS)
        return json.dumps({f"redis://{host}:{names.REDIS_PORT}": password})


def recipe_digest(form: SecretForm) -> str:
    """Six hexadecimal digits that change with the form's recipe: a new recipe must make a new secret."""
    return hashlib.sha256(_RECIPES[form].encode()).hexdigest()[:6]


def redis_acl(app_password: str, exporter_password: str, admin_password: str) -> str:
    """Redis' ACL file."""
    return _REDIS_ACL.format(
        app=names.REDIS_APP_USERNAME,
        exporter=names.REDIS_EXPORTER_USERNAME,
        admin=names.REDIS_ADMIN_USERNAME,
        app_sha256=_sha256(app_password),
        exporter_sha256=_sha256(exporter_password),
        admin_sha256=_sha256(admin_password),
    )


def haproxy_userlist(operator_password: str) -> str:
    """HAProxy's list of operators.

    Not hashed: HAProxy would compute a slow hash on its event loop for every request, and the file is as secret as the
    hash would have to be.
    """
    return _HAPROXY_USERLIST.format(operator=names.OPERATOR_USERNAME, password=operator_password)


def api_clients(token: str) -> str:
    """The backend's list of clients: it can tell a token by its digest, but gives none away."""
    return _API_CLIENTS.format(client=names.API_CLIENT, sha256=_sha256(token))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
