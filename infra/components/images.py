"""Images: built on the engine that runs them, or pulled; deployed by id, or by digest where there is a registry."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pulumi
import pulumi_docker as docker

from infra.plan.images import REPO, build_files
from infra.spec import ImageSpec

# Where a build context of several folders is put together; ignored by git.
_CONTEXTS = REPO / ".pidea" / "contexts"


class Images(pulumi.ComponentResource):
    """`references[name]` is what a service asks for: `sha256:<image id>` or `<registry>/<name>@sha256:<digest>`."""

    def __init__(
        self, name: str, specs: Sequence[ImageSpec], *, base_image: str, registry: str | None, builder: str | None
    ) -> None:
        super().__init__("pidea:platform:Images", name)
        self._registry = registry
        self._options = pulumi.ResourceOptions(parent=self)
        if builder:
            engine = docker.Provider("builder", host=builder, opts=pulumi.ResourceOptions(parent=self))
            self._options = pulumi.ResourceOptions(parent=self, provider=engine)
        self._built: dict[str, docker.RemoteImage] = {}
        self.references: dict[str, pulumi.Output[str]] = {}
        for spec in specs:
            if spec.upstream is not None:
                self.references[spec.name] = self._pull(spec)
            else:
                self.references[spec.name] = self._build(spec, base_image)
        self.register_outputs({})

    def _pull(self, spec: ImageSpec) -> pulumi.Output[str]:
        image = docker.RemoteImage(
            f"image-{spec.name}",
            name=spec.upstream,
            keep_locally=True,
            opts=self._options,
        )
        # An image that was never in a registry has no digest there; its id is as good on the machine that has it.
        return pulumi.Output.all(image.repo_digest, image.image_id).apply(lambda found: str(found[0] or found[1]))

    def _build(self, spec: ImageSpec, base_image: str) -> pulumi.Output[str]:
        base = self._built.get(spec.base) if spec.base else None
        repository = f"{self._registry}/pidea/{spec.name}" if self._registry else f"pidea/{spec.name}"
        image = docker.RemoteImage(
            f"image-{spec.name}",
            name=f"{repository}:{spec.digest}",
            build=docker.RemoteImageBuildArgs(
                context=_context(spec),
                build_args={**spec.build_args, "BASE": base.name if base else base_image},
                # The default bridge has no way out on machines where Docker does not manage the firewall.
                network_mode="host",
                remove=True,
            ),
            # The digest is in the name already; what it does not cover is the image that this one starts from.
            triggers={"base": base.image_id if base else base_image},
            # Kept for the way back, and for other instances of the stack on this machine.
            keep_locally=True,
            opts=pulumi.ResourceOptions.merge(
                self._options, pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="30m"))
            ),
        )
        self._built[spec.name] = image
        if self._registry is None:
            return image.image_id
        return pulumi.Output.concat(repository, "@", self._push(spec, image).sha256_digest)

    def _push(self, spec: ImageSpec, image: docker.RemoteImage) -> docker.RegistryImage:
        return docker.RegistryImage(
            f"push-{spec.name}",
            name=image.name,
            keep_remotely=True,
            triggers={"image": image.image_id},
            # The provider asks for credentials even where the registry does not. Those of any other registry are where
            # `docker login` put them.
            auth_config=docker.RegistryImageAuthConfigArgs(
                address=f"http://{self._registry}",
                username="nobody",
                password="none",  # noqa: S106 - nobody checks it
            )
            if _is_local(self._registry)
            else None,
            insecure_skip_verify=_is_local(self._registry),
            opts=self._options,
        )


def _is_local(registry: str | None) -> bool:
    """Whether the registry is on this machine: Docker speaks plain HTTP with it, without a login."""
    return registry is not None and registry.partition(":")[0] in {"127.0.0.1", "localhost"}


def _context(spec: ImageSpec) -> str:
    """The build context's folder, relative to the program's: a path of this machine has no place in the state."""
    files = dict(build_files(spec.name))
    folder = files["Dockerfile"].parent
    if any(not path.is_relative_to(folder) for path in files.values()):
        folder = _assemble(_CONTEXTS / f"{spec.name}-{spec.digest}", files)
    return os.path.relpath(folder, REPO / "infra")


def _assemble(folder: Path, files: Mapping[str, Path]) -> Path:
    if not folder.is_dir():
        # Under another name until it is whole: a run that is stopped here must not leave half a context.
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        for inside, path in files.items():
            target = unfinished / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        try:
            unfinished.rename(folder)
        except OSError:  # another run was faster, with the same files
            shutil.rmtree(unfinished)
    return folder
