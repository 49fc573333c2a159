"""Starts one program and stays above it: nothing that the program starts outlives this process or its parent.

Run as a script (`python -I -S launch.py options -- program arguments…`): small, and no Python code runs between a fork
and an exec in a process that may have threads. SIGTERM stops the program with its own signal, and kills what is left
after its patience. On Linux the kernel sends SIGTERM when the thread that started us ends (so start from the main
thread), and whatever loses its parent below us comes to us. Elsewhere the parent is looked at every second, and what
has left the program's process group may stay.
"""

import argparse
import ctypes
import os
import signal
import sys
import time

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_SET_CHILD_SUBREAPER, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 36, 47, 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
AWAITED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGALRM}
# Whoever killed our parent wants an end of it, and perhaps to start again: no program is waited for longer then.
ORPHAN_PATIENCE_SECONDS = 2.0
LOOK_SECONDS = 0.2
SIGNALLED = 128


def main(argv: list[str]) -> int:
    """Start the program and return its exit code, 128 and the signal's number where it was killed."""
    options = parse(argv)
    libc = ctypes.CDLL(None, use_errno=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    if LINUX:
        check(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")
        check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != options.parent:
        sys.exit("the process that started this one has ended")
    program = os.fork()
    if program == 0:
        become(options, libc)
    return watch(program, options)


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the options; the program's own arguments stand behind `--`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parent", type=int, required=True, help="process id of whoever starts this")
    parser.add_argument("--stop-signal", type=int, default=int(signal.SIGTERM), help="what the program is stopped with")
    parser.add_argument("--patience", type=float, default=8, help="seconds from that signal until it is killed")
    parser.add_argument("--uid", type=int, help="user the program runs as")
    parser.add_argument("--gid", type=int, help="group the program runs as")
    parser.add_argument("--search", action="store_true", help="keep the right to enter folders closed to that user")
    parser.add_argument("program", nargs="+", help="full path and arguments")
    return parser.parse_args(argv)


def watch(program: int, options: argparse.Namespace) -> int:
    """Wait for the program's end or for SIGTERM, then end everything below; return the exit code."""
    deadline = None
    if not LINUX:
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
    while True:
        number = signal.sigwait(AWAITED)
        orphaned = os.getppid() != options.parent
        if deadline is None and (number == signal.SIGTERM or orphaned):
            deadline = time.monotonic() + min(options.patience, ORPHAN_PATIENCE_SECONDS if orphaned else float("inf"))
            signal_group(program, options.stop_signal)
            signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)
        if deadline is not None and time.monotonic() > deadline:
            signal_group(program, signal.SIGKILL)
        code = collect(program)
        if code is not None:
            end_rest(program)
            return code if code >= 0 else SIGNALLED - code


def collect(program: int) -> int | None:
    """Reap what has ended; return the program's exit code (negative: the signal) if it is among that."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == program:
            code = os.waitstatus_to_exitcode(status)


def end_rest(program: int) -> None:
    """Kill the program's group and everything that has come to us, until nothing is left."""
    signal_group(program, signal.SIGKILL)
    while LINUX and (left := children()):
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        # What they had started comes to us as they end.
        for pid in left:
            os.waitpid(pid, 0)


def children() -> list[int]:
    """Return our own children; those of theirs become ours when they end."""
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208  pathlib takes longer to import than all the rest
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:  # noqa: PTH123  as above
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == os.getpid():
                found.append(int(entry))
    return found


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process group that may be gone already (macOS says EPERM where only zombies are left)."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def become(options: argparse.Namespace, libc: ctypes.CDLL) -> None:
    """Turn this forked process into the program; never returns."""
    watcher = os.getppid()
    os.setsid()
    # The lock of the state folder is ours to hold, not the program's.
    os.closerange(3, 64)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)
    if options.uid is not None:
        drop_to(options.uid, options.gid, libc if options.search else None)
    if LINUX:
        # After the change of user, which makes the kernel forget the death signal.
        check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != watcher:
            os._exit(1)
    try:
        # By full path: to search PATH, Python would import a module that the new user may not be able to read.
        os.execv(options.program[0], options.program)  # noqa: S606  no shell is wanted
    except OSError as error:
        sys.stderr.write(f"cannot start {options.program[0]}: {error.strerror}\n")
        sys.stderr.flush()
    os._exit(127)


def drop_to(uid: int, gid: int, libc: ctypes.CDLL | None) -> None:
    """Become that user for good; with libc given, keep the one right to enter any folder (a checkout below /root)."""
    if libc is not None:
        check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl(PR_SET_KEEPCAPS)")
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if libc is not None:
        capability = CAP_DAC_READ_SEARCH if permitted(CAP_DAC_READ_SEARCH) else CAP_DAC_OVERRIDE
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        sets = (ctypes.c_uint32 * 6)(*[1 << capability] * 3, 0, 0, 0)
        check(libc.capset(header, sets), "capset")
        check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0), "prctl(PR_CAP_AMBIENT_RAISE)")


def permitted(capability: int) -> bool:
    """Tell whether this process may use a capability."""
    with open("/proc/self/status") as status:  # noqa: PTH123  as above
        mask = next(line.split()[1] for line in status if line.startswith("CapPrm:"))
    return bool(int(mask, 16) >> capability & 1)


def check(result: int, call: str) -> None:
    """Exit with the system's reason when a call into libc failed."""
    if result != 0:
        sys.stderr.write(f"{call}: {os.strerror(ctypes.get_errno())}\n")
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
