# SPDX-License-Identifier: Apache-2.0
"""The guides in docs/guides: their commands, run as written, say what the guide says that they do.

Blocks of `sh` go to one bash, in order. A block of `text` behind one is what it prints; "..." stands for anything, as a
line by itself for any lines. A block without one must succeed.
"""

import os
import re
import signal
import subprocess
import threading
import time

import pytest

import settings
from peers import eventually
from programs import find

GUIDES = sorted((settings.ROOT / "docs" / "guides").glob("*.md"))
BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.M | re.S)
MARK = "--- end of block, status "
DEADLINE = 3 * settings.DEADLINE


def pattern_of(expected):
    """A regular expression for what a `text` block says."""
    lines = [r"(?:.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + "\n"
             for line in expected.splitlines()]
    return re.compile("".join(lines))


class Shell:
    """A bash in a folder, with the program under test in its PATH."""

    def __init__(self, folder):
        programs, self.folder = folder / "bin", folder / "empty"
        programs.mkdir()
        self.folder.mkdir()
        (programs / "weir").symlink_to(settings.BINARY)
        path = os.pathsep.join([str(programs), os.environ["PATH"]])
        self.process = subprocess.Popen(
            ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
            cwd=self.folder, env={**os.environ, **settings.SANITIZER_OPTIONS, "PATH": path}, start_new_session=True)
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, "")),
                                       daemon=True)
        self.reader.start()

    def run(self, block):
        """What it prints, and its status."""
        before = len(self.lines)
        self.process.stdin.write(f'{block}echo "{MARK}$?"\n')
        eventually(lambda: any(line.startswith(MARK) for line in self.lines[before:]), timeout=DEADLINE,
                   what=lambda: f"still running\n{block}\n{''.join(self.lines[before:])}")
        end = next(n for n in range(before, len(self.lines)) if self.lines[n].startswith(MARK))
        self._wait_for_log()
        return "".join(self.lines[before:end]), int(self.lines[end][len(MARK):])

    def _wait_for_log(self):
        """The log is written by a thread of its own; no person is as fast as this test."""
        log, seen = self.folder / "weir.log", None
        while log.exists() and seen != (seen := log.stat().st_size):
            time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            for file in self.folder.glob("*/pid"):
                os.kill(int(file.read_text()), signal.SIGKILL)
        self.process.stdin.close()
        self.process.wait(DEADLINE)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_commands_of_a_guide_do_what_it_says(guide, tmp_path):
    for program in "bash", "redis-server", "redis-cli":
        find(program)
    blocks = BLOCK.findall(guide.read_text())
    assert len(blocks) > 5 and guide.read_text().count("```sh") == len(blocks)
    with Shell(tmp_path) as shell:
        for commands, expected in blocks:
            said, status = shell.run(commands)
            if expected:
                assert pattern_of(expected).fullmatch(said), f"{commands}\nsays\n{said}\nexpected\n{expected}"
            else:
                assert status == 0, f"{commands}\nsays\n{said}"
        eventually(lambda: not list(shell.folder.glob("redis-*/pid")), what="redis-server goes on")


def test_every_test_that_the_security_page_names_exists():
    text = (settings.ROOT / "docs" / "SECURITY.md").read_text()
    named = re.findall(r"`(test_\w+\.(?:c|py)): (\w+)`", text)
    assert len(named) > 30
    for file, name in named:
        [path] = (settings.ROOT / "tests").glob(f"*/{file}")
        assert re.search(rf"^(static void|def) {name}\(", path.read_text(), re.M), f"{file}: {name}"
