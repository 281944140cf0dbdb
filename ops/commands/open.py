"""`./pidea open PAGE STACK`: where an operator's page is, and how to get in."""

from __future__ import annotations

import enum
import json
import webbrowser
from typing import Annotated

import typer


class Page(enum.StrEnum):
    """The pages behind the edge's operator port, and the application itself."""

    prometheus = "prometheus"
    alertmanager = "alertmanager"
    jaeger = "jaeger"
    dashboards = "dashboards"
    haproxy = "haproxy"
    edge = "edge"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="open")(open_page)


def open_page(
    page: Annotated[Page, typer.Argument(help="edge is the application; the others ask for the operator's password.")],
    stack: Annotated[str, typer.Argument(help="staging or prod.")],
    instance: Annotated[str | None, typer.Option(help="A copy of that name beside it.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="On a lab; --instance names which, if not lab.")] = False,
    password: Annotated[bool, typer.Option("--password", help="Print the password, and nothing else.")] = False,
    token: Annotated[bool, typer.Option("--token", help="Print the token of the application's API, no more.")] = False,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary for scripts.")] = False,
) -> None:
    """Print the address of a page, the user to log in as, and how to get the password."""
    from infra import outputs as keys
    from ops.errors import StateError
    from ops.stack import environment, instances, target
    from ops.stack.pulumi import Pulumi
    from ops.stack.reference import resolve

    wanted = resolve(stack, instance, lab=lab)
    instances.require(wanted)
    pulumi = Pulumi(wanted, environment.tools())
    outputs = pulumi.outputs(secrets=password or token) if pulumi.state() else {}
    if keys.OPERATOR_PORT not in outputs:
        raise StateError(f"Stack {wanted.name} is not up; bring it up with `./pidea up {wanted.arguments}`.")
    if password:
        typer.echo(outputs[keys.OPERATOR_PASSWORD])
        return
    if token:
        typer.echo(outputs[keys.API_TOKEN])
        return
    public = page is Page.edge
    port = int(outputs[keys.EDGE_PORT if public else keys.OPERATOR_PORT])
    scheme = "https" if outputs.get(keys.EDGE_TLS) else "http"
    url = f"{scheme}://{target.host_of(wanted)}:{port}/" + ("" if public else f"{page}/")
    ask = f"./pidea open {page} {wanted.arguments} --password"
    token_command = f"./pidea open edge {wanted.arguments} --token"
    user = None if public else outputs[keys.OPERATOR_USERNAME]
    if as_json:
        summary = {
            "url": url,
            "user": user,
            "password_command": None if public else ask,
            "token_command": token_command if public else None,
        }
        typer.echo(json.dumps(summary, indent=2))
    else:
        typer.echo(url)
        if user:
            typer.echo(f"user: {user}, password: {ask}")
        else:
            typer.echo(f"token for its API: {token_command}")
    if browser:
        webbrowser.open(url)
