"""`./pidea backup`, `./pidea restore` and `./pidea drill`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ops.stack.backups import Service

# Of what a snapshot says about itself.
_FOR_THE_SERVICE = {"kind", "epoch", "instance", "base_stop", "base_bytes"}
_STACK = Annotated[str, typer.Argument(help="staging or prod.")]
_INSTANCE = Annotated[str | None, typer.Option("--instance", help="A copy of that name beside it.")]
_LAB = Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")]
_JSON = Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(help="Make backups, list them, read them back.", no_args_is_help=True)
    for command in (now, verify, password, copy, adopt):
        group.command()(command)
    group.command("list")(list_all)
    group.command("export")(export)
    group.command("import")(import_)
    app.add_typer(group, name="backup")
    app.command()(restore)
    app.command()(drill)


def now(
    stack: _STACK,
    instance: _INSTANCE = None,
    lab: _LAB = False,
    only: Annotated[str | None, typer.Option(help="postgres, redis, alertmanager or state.")] = None,
    as_json: _JSON = False,
) -> None:
    """Back everything up now: PostgreSQL, Redis, silences, and Pulumi's state with the stack's settings."""
    service = _service(stack, instance, lab=lab)
    done = service.ask("now", *([only] if only else []), say=_say) if only != "state" else {}
    if only in (None, "state") and (kept := service.keep_state()) is not None:
        done["state"] = kept
    if as_json:
        typer.echo(json.dumps(done, indent=2))
        return
    for what, about in done.items():
        typer.echo(f"{what}: {about['bytes'] / 2**20:.1f} MiB in {about['duration_seconds']:.1f} s")


def list_all(stack: _STACK, instance: _INSTANCE = None, lab: _LAB = False, as_json: _JSON = False) -> None:
    """List the snapshots, and the times to which PostgreSQL can be restored."""
    from rich.table import Table

    from ops import console

    found = _service(stack, instance, lab=lab).ask("list")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table("snapshot", "of", "taken", "about", box=None, header_style="bold")
    for snapshot in found["snapshots"]:
        about = ", ".join(f"{key} {value}" for key, value in snapshot["about"].items() if key not in _FOR_THE_SERVICE)
        table.add_row(snapshot["id"], snapshot["kind"], snapshot["time"][:19], about)
    console.out.print(table)
    for one in found["ranges"]:
        typer.echo(f"PostgreSQL can be restored to any moment from {one['first']} to {one['last']}")


def verify(
    stack: _STACK,
    instance: _INSTANCE = None,
    lab: _LAB = False,
    share: Annotated[str, typer.Option(help="How much of the repository to read: 5%, 100%.")] = "100%",
    as_json: _JSON = False,
) -> None:
    """Read the repository and check every byte read. Exits with 1 where something is damaged."""
    found = _service(stack, instance, lab=lab).ask("verify", "--share", share, say=_say)
    typer.echo(json.dumps(found, indent=2) if as_json else f"{share} of the repository read: nothing is damaged")


def password(stack: _STACK, instance: _INSTANCE = None, lab: _LAB = False) -> None:
    """Print the repository's password. Keep it elsewhere: without it no backup can be read."""
    from infra import names
    from ops.cluster.members import MemberError
    from ops.errors import StateError

    service = _service(stack, instance, lab=lab)
    try:
        typer.echo(service.members.run(names.BACKUP, ["cat", names.secret_path(names.BACKUP_REPOSITORY_PASSWORD)]))
    except MemberError as error:
        raise StateError(f"The backup service cannot be asked: {error}") from error


def export(
    stack: _STACK,
    file: Annotated[Path, typer.Argument(help="Where to; keep it on another machine.")],
    instance: _INSTANCE = None,
    lab: _LAB = False,
) -> None:
    """Write the whole repository, encrypted as it is, to a file: what a new machine needs beside its password."""
    size = _service(stack, instance, lab=lab).export(file)
    typer.echo(f"{file}: {size / 2**20:.1f} MiB; its password is what `./pidea backup password {stack}` prints")


def import_(
    stack: _STACK,
    password_file: Annotated[Path, typer.Option(help="A file with the password of that repository.")],
    file: Annotated[Path | None, typer.Argument(help="What `backup export` wrote.")] = None,
    offsite: Annotated[bool, typer.Option("--offsite", help="The repository off site, in place of a file.")] = False,
    instance: _INSTANCE = None,
    lab: _LAB = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Put an exported repository in the place of the stack's own, whose snapshots are given up; then `restore`."""
    from ops.errors import UsageError
    from ops.stack import lock
    from ops.stack.backups import password_in

    if (file is None) != offsite:
        raise UsageError("Name either the exported file or --offsite.")
    theirs = password_in(password_file)
    if file is not None and not file.is_file():
        raise UsageError(f"{file} is not there; name the exported file again.")
    service = _service(stack, instance, lab=lab)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("Nobody can be asked here; add --yes to mean it.")
        typer.confirm(f"Give up the snapshots that {service.stack.name} has now?", abort=True)
    with lock.exclusive(service.stack):
        found = service.take_over(["import", *(["--offsite"] if offsite else [])], theirs, _say, file)
    typer.echo(f"{found['snapshots']} snapshots, the newest of {found['newest']}; now `./pidea restore {stack}`")


def adopt(
    stack: _STACK,
    password_file: Annotated[Path, typer.Option(help="A file with the password of that repository.")],
    instance: _INSTANCE = None,
    lab: _LAB = False,
) -> None:
    """Let a new stack into the repositories on servers that its settings name, which another one has filled."""
    from ops.stack import lock
    from ops.stack.backups import password_in

    theirs = password_in(password_file)
    service = _service(stack, instance, lab=lab)
    with lock.exclusive(service.stack):
        found = service.take_over(["adopt"], theirs, _say)
    for url, snapshots in found["repositories"].items():
        typer.echo(f"{url}: {snapshots} snapshots; now `./pidea restore {stack}`")


def copy(stack: _STACK, instance: _INSTANCE = None, lab: _LAB = False, as_json: _JSON = False) -> None:
    """Copy to the repository off site what is not there yet, as the schedule does by itself."""
    found = _service(stack, instance, lab=lab).ask("copy", say=_say)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    typer.echo(
        f"all {found['snapshots']} snapshots that are kept are off site, after {found['duration_seconds']:.1f} s"
    )


def drill(stack: _STACK, instance: _INSTANCE = None, lab: _LAB = False, as_json: _JSON = False) -> None:
    """Restore the newest backup and a random moment into throw-away servers, and compare with what was recorded."""
    found = _service(stack, instance, lab=lab).ask("drill", say=_say)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    typer.echo(f"restored in at most {found['rto_seconds']:.1f} s (RTO), up to {found['rpo_seconds']:.1f} s ago (RPO)")
    typer.echo(f"a random moment: {found['random_moment']}; Redis: {found['redis_keys']} keys")


def restore(
    stack: _STACK,
    instance: _INSTANCE = None,
    lab: _LAB = False,
    at: Annotated[str | None, typer.Option(help="A moment: 2026-11-25T16:00:00, in UTC, or with +01:00.")] = None,
    snapshot: Annotated[str | None, typer.Option(help="A snapshot's id, from `backup list`.")] = None,
    only: Annotated[str, typer.Option(help="postgres, redis, or alertmanager: its silences.")] = "postgres",
    other_stack: Annotated[bool, typer.Option("--other-stack", help="Even what another stack has stored.")] = False,
    newer_schema: Annotated[
        bool, typer.Option("--newer-schema", help="Even a schema that the running release does not know.")
    ] = False,
    into: Annotated[
        str | None, typer.Option(help="Leave the stack alone: into a throw-away server of that name beside it.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Of --into: remove that server again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: _JSON = False,
) -> None:
    """Bring back what there was: the newest backup, a moment or a snapshot. Caches are emptied with PostgreSQL."""
    from ops import console
    from ops.errors import UsageError
    from ops.stack import lock
    from ops.stack import restore as restoring

    if only not in {"postgres", "redis", "alertmanager"}:
        raise UsageError(
            f"Nothing that can be restored alone is called {only!r}; there is postgres, redis and alertmanager."
        )
    if at and snapshot and only != "postgres":
        raise UsageError("--at and --snapshot exclude each other but for PostgreSQL; choose one.")
    if into and only == "alertmanager":
        raise UsageError("Silences are brought back into the stack, not --into a server beside it.")
    if remove and into is None:
        raise UsageError("--remove is of a server that --into has brought up; name it: --into NAME --remove.")
    service = _service(stack, instance, lab=lab)
    if into is not None:
        with lock.exclusive(service.stack):
            if remove:
                _remove_copy(service, into)
            else:
                _restore_into(service, into, only, at, snapshot, other_stack=other_stack, as_json=as_json)
        return
    if only == "alertmanager":
        _restore_silences(service, at, snapshot, other_stack=other_stack, as_json=as_json)
        return
    if not yes and not sys.stdin.isatty():
        raise UsageError("Nobody can be asked here; add --yes to mean it.")
    with lock.exclusive(service.stack):
        prepared = restoring.prepare(
            service, only, at, snapshot, _say, other_stack=other_stack, newer_schema=newer_schema
        )
        console.say(
            f"{only} of {service.stack.name} goes back to {prepared['at']}; what was written since is taken away"
        )
        for line in restoring.losses(prepared):
            console.say(f"  {line}")
        if not yes:
            typer.confirm("Go on?", abort=True)
        restoring.replace(service, only, prepared, _say)
        restoring.new_base(service, only, _say)
    if as_json:
        typer.echo(json.dumps(prepared, indent=2))
    else:
        console.say(f"{only} is as it was at {prepared['at']}, and all services are well.")


def _restore_silences(
    service: Service, at: str | None, snapshot: str | None, *, other_stack: bool, as_json: bool
) -> None:
    from ops.stack import restore as restoring

    # Nothing is lost by it, so nobody is asked.
    found = restoring.silences(service, at, snapshot, other_stack=other_stack)
    said = f"silences of {found['at']}: {found['missing']} were missing and hold again"
    typer.echo(json.dumps(found, indent=2) if as_json else said)


def _restore_into(
    service: Service,
    name: str,
    only: str,
    at: str | None,
    snapshot: str | None,
    *,
    other_stack: bool,
    as_json: bool,
) -> None:
    from ops import console
    from ops.stack import restore_into

    made = restore_into.bring(service, name, only, at, snapshot, _say, other_stack=other_stack)
    if as_json:
        typer.echo(json.dumps(made, indent=2))
        return
    console.say(f"{only} of {service.stack.name} as it was at {made['at']} runs beside it, in no network.")
    typer.echo(f"look:   {made['look']}\nremove: {made['remove']}")


def _remove_copy(service: Service, name: str) -> None:
    from ops import console
    from ops.stack import copies

    copies.remove(service.stack, service.plan.instance, name)
    console.say(f"{name} is gone, with its data.")


def _service(stack: str, instance: str | None, *, lab: bool) -> Service:
    from ops.stack import instances
    from ops.stack.backups import Service
    from ops.stack.reference import resolve

    wanted = resolve(stack, instance, lab=lab)
    instances.require(wanted)
    return Service.of(wanted)


def _say(line: str) -> None:
    from ops import console

    console.say(f"  {line}")
