"""The pod runner's end of a running pod: starts its process through the shim, reads its output, learns how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from local.pod_environment import Command
from local.pod_log import Log
from local.pod_status import KILLED

_SHIM = Path(__file__).with_name("pod_shim.py")
# Everything that could write to the pipe is dead by then; this only bounds the unexpected.
_OUTPUT_SECONDS = 5


class StartFailed(Exception):
    """A process could not be started; the sentence is the system's."""


@dataclass(frozen=True)
class Exit:
    """How a process ended: the exit code as a shell gives it (128 + signal), whether its memory limit killed it.

    `seen` is false where its parent died with it, so that nobody knows the exit code.
    """

    code: int
    out_of_memory: bool = False
    seen: bool = True


class PodProcess:
    """A process that has started."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, output: _Output) -> None:
        self.pid = pid
        self._reader = reader
        self._writer = writer
        self._output = output

    def terminate(self) -> None:
        """Send SIGTERM to the pod's first process, as a kubelet does."""
        self._command(b"T")

    def kill(self) -> None:
        """Send SIGKILL to everything the pod has started."""
        self._command(b"K")

    def _command(self, letter: bytes) -> None:
        if not self._writer.is_closing():  # It ends in this moment by itself.
            self._writer.write(letter)

    async def wait(self) -> Exit:
        """Wait until the process has ended, nothing it has started is left, and its output is in the log."""
        line = await self._reader.readline()
        self._writer.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OUTPUT_SECONDS):
                await self._output.ended.wait()
        self._output.close()
        if not line:
            return Exit(KILLED, seen=False)
        facts = json.loads(line)
        return Exit(facts["exit_code"], facts["out_of_memory"])


class Launcher:
    """Starts processes through one shim, which is started when first needed and again should it have died."""

    def __init__(self) -> None:
        self._shim: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    async def launch(self, command: Command, log: Log) -> PodProcess:
        """Start a process whose output goes into the log; raise StartFailed."""
        loop = asyncio.get_running_loop()
        channel, shims_channel = socket.socketpair()
        output_end, shims_output = os.pipe()
        try:
            self._announce(shims_channel.fileno(), shims_output)
        finally:
            shims_channel.close()
            os.close(shims_output)
        reader, writer = await asyncio.open_connection(sock=channel)
        _, output = await loop.connect_read_pipe(lambda: _Output(log), os.fdopen(output_end, "rb", buffering=0))
        try:
            writer.write(json.dumps(asdict(command)).encode() + b"\n")
            answer = json.loads(await reader.readline() or '{"error": "the process that starts pods has died"}')
            if "error" in answer:
                raise StartFailed(answer["error"])  # noqa: TRY301  the clean-up below is for this too
        except BaseException:
            # Also when the pod is deleted in this moment: the shim ends what hangs on a closed channel.
            writer.close()
            output.close()
            raise
        return PodProcess(answer["pid"], reader, writer, output)

    def close(self) -> None:
        """End the shim; the parents of running pods have channels of their own."""
        if self._control and self._shim:
            self._control.close()
            self._shim.wait()

    def _announce(self, *descriptors: int) -> None:
        try:
            socket.send_fds(self._control or self._start_shim(), [b"\0"], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            self.close()
            socket.send_fds(self._start_shim(), [b"\0"], descriptors)

    def _start_shim(self) -> socket.socket:
        self._control, shims_end = socket.socketpair()
        with shims_end:
            # -I -S: nothing of this process's environment or site-packages, which the pods' parents would carry along.
            self._shim = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SHIM)],
                stdin=shims_end.fileno(),
                env={},
                cwd="/",
                start_new_session=True,
            )
        return self._control


class _Output(asyncio.Protocol):
    """Puts what comes out of the pipe into the log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._transport: asyncio.BaseTransport | None = None
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._log.append(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's name
        self._log.close()
        self.ended.set()

    def close(self) -> None:
        if self._transport:
            self._transport.close()
