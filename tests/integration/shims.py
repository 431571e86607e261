# SPDX-License-Identifier: Apache-2.0
"""Libraries preloaded into the program under test: failing allocations, a wall clock that jumps."""

import mmap
import struct

import pytest

import settings


class Shared:
    """A file of 64-bit numbers shared with a preloaded library; use as environment: balancer(..., env=shim.env)."""

    def __init__(self, directory, library, variable, numbers):
        if settings.SLOW:
            pytest.skip("sanitizers and valgrind bring their own allocator and do not let others be preloaded")
        path = directory / library
        path.write_bytes(bytes(8 * numbers))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 8 * numbers)
        preloaded = settings.BUILD / "tests" / "integration" / f"lib{library}.so"
        assert preloaded.exists(), f"no {preloaded}: build everything, or set WEIR_BUILD"
        self.env = {"LD_PRELOAD": str(preloaded), variable: str(path)}

    def read(self, index):
        return struct.unpack_from("q", self.memory, 8 * index)[0]

    def write(self, index, value):
        struct.pack_into("q", self.memory, 8 * index, value)


class FailMalloc(Shared):
    def __init__(self, directory):
        super().__init__(directory, "failmalloc", "FAILMALLOC", 3)

    def fail(self, number):
        """The number-th allocation from now on fails."""
        self.write(1, 0)
        self.write(0, number)

    def fail_all(self, on):
        self.write(1, 0)
        self.write(2, int(on))

    def stop(self):
        """Returns how many allocations failed since fail()."""
        self.write(0, 0)
        self.write(2, 0)
        return self.read(1)


class WallClock(Shared):
    def __init__(self, directory):
        super().__init__(directory, "wallclock", "WALLCLOCK", 1)

    def jump(self, seconds):
        self.write(0, self.read(0) + seconds)
