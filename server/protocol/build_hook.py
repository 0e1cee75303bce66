"""Generates the gRPC stubs when the package is built or installed (hatchling build hook)."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StubsBuildHook(BuildHookInterface[Any]):
    """Runs protoc on inpaint.proto; the stubs lie beside it and are not committed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before anything is collected."""
        import grpc_tools
        from grpc_tools import protoc

        root = Path(self.root)
        proto = "server/protocol/inpaint.proto"
        outputs = [f"--{kind}_out={root}" for kind in ("python", "pyi", "grpc_python")]
        known = Path(grpc_tools.__file__).parent / "_proto"
        if protoc.main(["protoc", f"-I{root}", f"-I{known}", *outputs, proto]) != 0:
            raise RuntimeError(f"protoc failed on {proto}")
        build_data["artifacts"] += [
            f"/server/protocol/inpaint_pb2{suffix}" for suffix in (".py", ".pyi", "_grpc.py")
        ]
