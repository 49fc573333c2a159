"""Becomes another program, bound to its parent's life and, if told, as another user.

Run as a script (`python -I -S launch.py [options] -- program arguments…`), so that no Python code runs between fork
and exec in a process that may have threads. On Linux the kernel sends the death signal when the thread that started
us ends: start programs from the main thread only. Elsewhere the death signal is left out.
"""

import argparse
import ctypes
import os
import sys

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2


def main(argv: list[str]) -> None:
    """Do what the options say, then become the program: returns never, or exits with a sentence."""
    options = parse(argv)
    libc = ctypes.CDLL(None, use_errno=True)
    if options.uid is not None:
        drop_to(options.uid, options.gid, libc if options.search else None)
    if sys.platform == "linux":
        # After the change of user, which makes the kernel forget the death signal.
        check(libc.prctl(PR_SET_PDEATHSIG, options.death_signal, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != options.parent:
            sys.exit("the process that started this one has ended")
    try:
        # By full path: to search PATH, Python would import a module that the new user may not be able to read.
        os.execv(options.program[0], options.program)  # noqa: S606  no shell is wanted
    except OSError as error:
        sys.exit(f"cannot start {options.program[0]}: {error.strerror}")


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the options; the program's own arguments stand behind `--`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parent", type=int, required=True, help="process id of whoever starts this")
    parser.add_argument("--death-signal", type=int, required=True, help="signal to get when the parent dies")
    parser.add_argument("--uid", type=int, help="user to become")
    parser.add_argument("--gid", type=int, help="group to become")
    parser.add_argument("--search", action="store_true", help="keep the right to enter folders closed to that user")
    parser.add_argument("program", nargs="+")
    return parser.parse_args(argv)


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
    with open("/proc/self/status") as status:  # noqa: PTH123  pathlib takes longer to import than all the rest
        mask = next(line.split()[1] for line in status if line.startswith("CapPrm:"))
    return bool(int(mask, 16) >> capability & 1)


def check(result: int, call: str) -> None:
    """Exit with the system's reason when a call into libc failed."""
    if result != 0:
        sys.exit(f"{call}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(sys.argv[1:])
