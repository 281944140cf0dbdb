# ruff: noqa: N802 the methods have the names of the protocol
"""What the engine asks of a language host; an answer for each question, and a refusal for code generation."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from . import children, install, installed, interpreter
from .program import EXIT_REPORTED
from .protocol import language, language_grpc, plugin

# The version of the CLI that this host was written for; `pulumi about` shows it.
_VERSION = "3.230.0"


class LanguageHost(language_grpc.LanguageRuntimeServicer):  # type: ignore[misc]
    """The service. The base class answers "unimplemented" to what is missing here: Template, Generate…, Pack, Link."""

    def __init__(self, engine_address: str) -> None:
        self._engine_address = engine_address

    def Handshake(self, request: Any, context: Any) -> Any:
        return language.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin.PluginInfo(version=_VERSION)

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:
        return language.RuntimeOptionsResponse()

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        return self._required(request, context, language.GetRequiredPluginsResponse, "plugins", plugin.PluginDependency)

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        return self._required(
            request, context, language.GetRequiredPackagesResponse, "packages", plugin.PackageDependency
        )

    def About(self, request: Any, context: Any) -> Any:
        python = self._interpreter(request.info, context)
        command = [str(python.executable), "-c", "import platform; print(platform.python_version())"]
        version = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        return language.AboutResponse(executable=str(python.executable), version=version)

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        packages = self._interpreter(request.info, context).packages
        found = installed.python_distributions(packages, transitive=request.transitiveDependencies)
        dependencies = [language.DependencyInfo(name=name, version=version) for name, version in found]
        return language.GetProgramDependenciesResponse(dependencies=dependencies)

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        for command in install.commands(request.info):
            yield language.InstallDependenciesResponse(stdout=f"{command}\n".encode())
            child = children.start(
                command.arguments,
                cwd=command.folder,
                env=os.environ,
                context=context,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for name, value in children.stream(child):
                if name != "exitcode":
                    yield language.InstallDependenciesResponse(**{name: value})
                elif value != 0:
                    context.abort(grpc.StatusCode.INTERNAL, f"`{command}` failed with exit code {value}.")

    def Run(self, request: Any, context: Any) -> Any:
        info = request.info
        python = self._interpreter(info, context)
        settings = {
            "monitor": request.monitor_address,
            "engine": self._engine_address,
            "project": request.project,
            "stack": request.stack,
            "parallel": request.parallel,
            "dry_run": request.dryRun,
            "organization": request.organization or "organization",
            "root_directory": info.root_directory,
        }
        described = {
            "program": str(Path(info.program_directory, info.entry_point)),
            "settings": settings,
            "config": dict(request.config),
            "secret_keys": list(request.configSecretKeys),
        }
        child = children.start(
            [str(python.executable), "-u", str(Path(__file__).with_name("program.py"))],
            cwd=Path(request.pwd),
            env=python.activated(os.environ),
            context=context,
            # Its output is this process's own, which the engine shows line by line.
            stdin=subprocess.PIPE,
        )
        child.communicate(json.dumps(described).encode())
        return _run_response(child.returncode)

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        info = request.info
        python = self._interpreter(info, context)
        program = str(Path(info.program_directory, info.entry_point))
        if request.kind == "analyzer":
            runner = ["-m", "pulumi.policy", *request.args, program]
        else:
            runner = [program, *request.args]
        child = children.start(
            [str(python.executable), "-u", *runner],
            cwd=Path(request.pwd),
            env=python.activated(dict(entry.split("=", 1) for entry in request.env)),
            context=context,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name, value in children.stream(child):
            yield language.RunPluginResponse(**{name: value})

    def _required(self, request: Any, context: Any, response: Any, field: str, dependency: Any) -> Any:
        packages = self._interpreter(request.info, context).packages
        found = [
            dependency(name=p["name"], kind="resource", version=p.get("version", ""), server=p.get("server", ""))
            for p in installed.pulumi_packages(packages)
        ]
        return response(**{field: found})

    def _interpreter(self, info: Any, context: Any) -> interpreter.Interpreter:
        try:
            return interpreter.of(info)
        except interpreter.InterpreterError as error:
            # Raises; the engine prints the text as it is.
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
            raise


def _run_response(code: int) -> Any:
    if code == 0:
        return language.RunResponse()
    if code == EXIT_REPORTED:
        return language.RunResponse(bail=True)
    if code < 0:
        return language.RunResponse(error=f"The program was ended by signal {-code}")
    return language.RunResponse(error=f"The program exited with exit code {code}")
