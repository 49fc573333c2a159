"""Starts the pods' processes, and sees to it that nothing a pod has started outlives it or the pod runner.

Runs as a script (`python -I -S pod_shim.py`, standard library only) below the pod runner, which sends it, over the
socket that is its stdin, one byte and two descriptors for every pod: a channel and the pipe for the output. Each pod
gets a fork of this process as its parent, which reads the order from the channel (one line of JSON), starts the
process, and then

- answers `{"pid": …}` or `{"error": …}`, and at the end `{"exit_code": …, "out_of_memory": …}`, a line each;
- sends SIGTERM to the pod's first process for a `T` on the channel, SIGKILL to all of them for a `K`;
- kills all of them when the channel closes, which is how the pod runner's death shows, however it died;
- kills all of them when together they hold more memory than the limit.

A fork of a small process that has everything imported takes 2 ms, a new interpreter with ctypes took 40.

On Linux this parent is a subreaper, so a descendant that leaves its session or loses its own parent is still found;
and the pod's first process dies with it (PR_SET_PDEATHSIG), should somebody kill it. This is safe against the rule that
the signal comes when the *thread* that forked ends: there is only one thread here. Elsewhere only the process group is
killed, and memory is not limited.

Memory is what the pod holds in anonymous and shared pages, pages shared by its processes counted once: what a
container's cgroup could not give back either. Code and files mapped from disk do not count. There is no RLIMIT beside
it: RLIMIT_AS stops programs that only reserve address space (numpy, thread stacks), and RLIMIT_DATA turns the end that
a container would have, OOMKilled, into a MemoryError somewhere in the program. Pods are the kernel's first choice
instead, should the machine itself run out before the next look.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MEMORY_POLL_SECONDS = 0.05
REAP_POLL_SECONDS = 0.002
LINUX = sys.platform == "linux"
LIBC = ctypes.CDLL(None, use_errno=True)


def serve(control: socket.socket) -> None:
    """Fork a parent for every pod that is announced on the socket, until the pod runner closes it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The kernel collects the parents that have ended.
    gc.freeze()
    while True:
        announced, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not announced:
            return
        try:
            if os.fork() == 0:
                control.close()
                os._exit(attend(*descriptors))
        except OSError:  # No process or memory left for a fork: the pod runner sees the channel close.
            traceback.print_exc()
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def attend(channel_descriptor: int, output: int) -> int:
    """Be the parent of one pod from its order to its end; return this process's own exit code."""
    channel = socket.socket(fileno=channel_descriptor)
    try:
        os.setsid()
        control_process(PR_SET_CHILD_SUBREAPER, 1)
        line = b""
        while not line.endswith(b"\n") and (part := received(channel, 65536)):
            line += part
        if not line.endswith(b"\n"):
            return 0  # The pod runner has died before it could say what to start.
        order = json.loads(line)
        wake = wake_on_child()
        try:
            pid = start(order, output)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            report(channel, error=str(error))
            return until_closed(channel)
        finally:
            os.close(output)
        report(channel, pid=pid)
        exit_code, out_of_memory = watch(pid, channel, wake, order["memory_limit"])
        end_all(pid)
        report(channel, exit_code=exit_code, out_of_memory=out_of_memory)
        return until_closed(channel)
    except BaseException:  # noqa: BLE001  a fork must not return into the loop of its parent
        traceback.print_exc()
        for process in descendants() if LINUX else []:
            kill(os.kill, process)
        return 1


def control_process(option: int, value: int) -> None:
    """Call prctl where there is one; raise OSError where the kernel refuses."""
    if LINUX and LIBC.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def wake_on_child() -> socket.socket:
    """Return a socket that becomes readable whenever a child ends."""
    wake, signalled = socket.socketpair()
    wake.settimeout(0)
    signalled.settimeout(0)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(signalled.detach(), warn_on_full_buffer=False)
    return wake


def start(order: dict[str, Any], output: int) -> int:
    """Start the pod's first process in a session of its own; return its id, raise OSError where it cannot start."""
    shim = os.getpid()

    def bind_to_shim() -> None:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        control_process(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != shim:
            os._exit(1)
        if LINUX:
            with open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123  pathlib is not imported here
                score.write("1000")

    process = subprocess.Popen(
        order["argv"], env=order["environment"], cwd=order["folder"], stdin=subprocess.DEVNULL, stdout=output,
        stderr=output, start_new_session=True, umask=0o022,
        preexec_fn=bind_to_shim,  # noqa: PLW1509  safe: this process has one thread
    )  # fmt: skip
    process.returncode = 0  # Its end is collected by `watch`, not by this object.
    return process.pid


def report(channel: socket.socket, **facts: object) -> None:
    """Send a line to the pod runner; one that is gone needs none."""
    try:
        channel.sendall(json.dumps(facts).encode() + b"\n")
    except (BrokenPipeError, ConnectionResetError):
        return


def received(channel: socket.socket, size: int) -> bytes:
    """Return what has come, nothing once the other end is closed; also when it was closed with a report unread."""
    try:
        return channel.recv(size)
    except ConnectionResetError:
        return b""


def until_closed(channel: socket.socket) -> int:
    """Wait for the pod runner to hang up: a socket closed with a command unread loses the report on its way too."""
    while received(channel, 64):
        continue
    return 0


def watch(pid: int, channel: socket.socket, wake: socket.socket, memory_limit: int | None) -> tuple[int, bool]:
    """Wait for the end of the pod's first process; return its exit code as a shell gives it, and whether for memory."""
    sources = [channel, wake]
    out_of_memory = False
    while (code := collect(pid)) is None:
        limit = memory_limit if LINUX and not out_of_memory else None
        ready, _, _ = select.select(sources, [], [], None if limit is None else MEMORY_POLL_SECONDS)
        if wake in ready:
            wake.recv(4096)
        if channel in ready:
            command = received(channel, 1)
            if command == b"T":
                os.kill(pid, signal.SIGTERM)
            else:
                kill_all(pid)
            if not command:
                sources.remove(channel)
        if limit is not None and exceeds(limit):
            out_of_memory = True
            kill_all(pid)
    return code, out_of_memory


def collect(pid: int) -> int | None:
    """Collect every child that has ended, adopted ones too; return the exit code of `pid` when it is among them."""
    code = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if ended == 0:
            return code
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            code = code if code >= 0 else 128 - code


def end_all(pid: int) -> None:
    """Kill what the pod's first process has left behind, again and again until nothing is left."""
    while True:
        kill_all(pid)
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended == 0:
            time.sleep(REAP_POLL_SECONDS)


def kill_all(pid: int) -> None:
    """Send SIGKILL to every process of the pod."""
    for process in descendants() if LINUX else []:
        kill(os.kill, process)
    if not LINUX:
        kill(os.killpg, pid)


def kill(how: Callable[[int, int], None], target: int) -> None:
    """Send SIGKILL to a process, or group, that may be gone."""
    try:
        how(target, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # PermissionError: macOS, of a group of zombies
        return


def descendants() -> list[int]:
    """List everything below this process; it may miss what is being forked meanwhile, so ask again after killing."""
    found: list[int] = []
    unseen = [os.getpid()]
    while unseen:
        process = unseen.pop()
        try:
            for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208  as above
                with open(f"/proc/{process}/task/{thread}/children") as children:  # noqa: PTH123
                    unseen += [int(child) for child in children.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found.append(process)
    return found[1:]


def exceeds(limit: int) -> bool:
    """Tell whether the pod holds more than `limit` bytes.

    The exact figure walks the page tables (10 ms for 2 GiB), so it is asked for only when the cheap one, which counts
    pages shared after a fork for each process, is above the limit.
    """
    processes = descendants()
    if held(processes, "status", ("RssAnon:", "RssShmem:")) <= limit:
        return False
    return held(processes, "smaps_rollup", ("Pss_Anon:", "Pss_Shmem:")) > limit


def held(processes: list[int], file: str, fields: tuple[str, str]) -> int:
    """Add up two fields, in kB, of a file in /proc over some processes; return bytes."""
    total = 0
    for process in processes:
        try:
            with open(f"/proc/{process}/{file}") as lines:  # noqa: PTH123
                total += sum(int(line.split()[1]) for line in lines if line.startswith(fields))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return total * 1024


if __name__ == "__main__":
    serve(socket.socket(fileno=0))
