# SPDX-License-Identifier: Apache-2.0
"""What the environment says about this run.

WEIR_BUILD      build directory (default: build in the project's root)
WEIR_BINARY     the program under test (default: server/weir in the build directory)
WEIR_FULL=1     everything at full size
WEIR_VALGRIND=1 each balancer runs under valgrind (epoll only: valgrind does not follow what io_uring writes)
"""

import ctypes
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("WEIR_BUILD", ROOT / "build")).resolve()
BINARY = Path(os.environ.get("WEIR_BINARY", BUILD / "server" / "weir")).resolve()
FULL = os.environ.get("WEIR_FULL") == "1"
VALGRIND = os.environ.get("WEIR_VALGRIND") == "1"


def _is_sanitized():
    data = BINARY.read_bytes() if BINARY.exists() else b""
    return any(word in data for word in (b"__asan_init", b"__tsan_init", b"__ubsan_handle", b"__msan_init"))


SANITIZED = _is_sanitized()
SLOW = SANITIZED or VALGRIND


def _has_landlock():
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) > 0  # landlock_create_ruleset: its version


# Sanitizers and valgrind make system calls that no balancer makes, and of a sandboxed process only root sees the descriptors.
SANDBOX = not SLOW and os.geteuid() == 0 and _has_landlock()
DEADLINE = 120.0 if FULL else 60.0 if SLOW else 20.0  # for what should happen at once, on a machine that does other work too

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:verify_asan_link_order=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "second_deadlock_stack=1",
}
VALGRIND_COMMAND = ("valgrind", "--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite",
                    "--error-exitcode=99", "--log-file={directory}/valgrind")  # it warns of system calls that are new to it


def amount(normal, full=None, slow=None):
    """The size of a test: normal, with WEIR_FULL=1, or for a build with sanitizers or valgrind."""
    if SLOW and slow is not None:
        return slow
    return full if FULL and full is not None else normal
