"""A server that lets nothing be deleted: who has taken the backup service over can do no harm to what is there."""

from __future__ import annotations

import pytest

from tests.backup.stand import Service, Stand

pytestmark = [pytest.mark.backup, pytest.mark.timeout(600)]

# With everything that the service has: its password, its login, its network.
_RESTIC = """
import os, sys
from ops.backup.errors import ToolError
from ops.backup.jobs import Jobs
from ops.backup.settings import Settings
try:
    Jobs(Settings.from_environment(os.environ)).restic.run(*sys.argv[1:])
except ToolError as error:
    print(error.said)
"""
# Past restic: every kind of file that a repository has, deleted or written over.
_REQUESTS = """
import base64, json, os, ssl, urllib.error, urllib.request
url, user = os.environ["REPOSITORY"].removeprefix("rest:"), os.environ["REPOSITORY_USERNAME"]
login = open(os.environ["REPOSITORY_LOGIN_FILE"]).read().strip()
header = {
    "Accept": "application/vnd.x.restic.rest.v2",
    "Authorization": "Basic " + base64.b64encode(f"{user}:{login}".encode()).decode(),
}
trusted = ssl.create_default_context(cafile=os.environ["REPOSITORY_TRUST_FILE"])

def ask(method, path, data=None):
    request = urllib.request.Request(url + path, data, header, method=method)
    with urllib.request.urlopen(request, context=trusted, timeout=10) as answer:
        return answer.read()

targets = ["config", ""]
for kind in ("snapshots", "data", "index", "keys"):
    targets += [f"{kind}/{file['name']}" for file in json.loads(ask("GET", kind + "/"))[:1]]
for path in targets:
    for method, data in (("DELETE", None), ("POST", b"nothing")):
        try:
            ask(method, path, data)
            print("allowed", method, path)
        except urllib.error.HTTPError as error:
            print("refused", method, path, error.code)
"""


def everything(service: Service) -> dict[str, str]:
    return {snapshot["id"]: snapshot["kind"] for snapshot in service.do("list")["snapshots"]}


def test_a_service_that_was_taken_over_takes_nothing_away(stand: Stand) -> None:
    server = stand.server("rest", append_only=True)
    count = stand.write(10)
    with stand.service(server) as service:
        service.do("now", "postgres", "redis")
        before = everything(service)
        files = server.run("bash", "-c", "cd /srv/stack && find config data index keys snapshots -type f | sort")
        # restic tries again and again to delete what it is refused: a minute for each file.
        for attack in (("forget", "--prune", next(iter(before))), ("tag", "--set", "gone"), ("prune",)):
            service.run("timeout", "8", "/usr/bin/python3.11", "-c", _RESTIC, *attack, check=False)
        said = service.run("/usr/bin/python3.11", "-c", _REQUESTS).splitlines()
        assert [line for line in said if not line.startswith("refused")] == []
        assert len(said) == 12
        there = server.run("bash", "-c", "cd /srv/stack && find config data index keys snapshots -type f")
        assert set(files.splitlines()) <= set(there.splitlines())
        assert service.ask("verify").code == 0
        assert service.do("prepare", "postgres")["rows"]["public.notes"] == count


def test_the_service_goes_on_where_it_can_delete_nothing(stand: Stand) -> None:
    server = stand.server("rest", append_only=True)
    with stand.service(server) as service:
        service.do("now", "postgres", "redis")
        before = everything(service)
        count = stand.write(10)
        service.do("now", "postgres", "redis")
        assert service.do("tidy")["forgotten"] == 0
        after = everything(service)
        assert before.items() <= after.items()
        assert service.do("prepare", "postgres")["rows"]["public.notes"] == count
        service.do("drill")
