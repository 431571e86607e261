# SPDX-License-Identifier: Apache-2.0
"""The command line: help everywhere, and what happens to those who mistype."""

import re

import pytest

from test_config import GOOD, weir

COMMANDS = re.findall(r"^  (\w+) ", weir("--help").stdout, re.MULTILINE)


def test_the_overview_names_the_commands_and_fits_the_screen():
    result = weir("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert {"run", "check", "version", "help"} <= set(COMMANDS)
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert weir("help").stdout == weir("-h").stdout == result.stdout


def test_without_a_command_the_overview_is_an_error():
    result = weir()
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == weir("--help").stdout


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "help"])
def test_every_command_explains_itself(command):
    result = weir(command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: weir {command}")
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert weir(command, "-h").stdout == weir("help", command).stdout == result.stdout


@pytest.mark.parametrize("arguments, message, help_of", [
    (["chek"], 'unknown command "chek"; did you mean "check"?', ""),
    (["frobnicate"], 'unknown command "frobnicate"', ""),
    (["--frobnicate"], "unknown option --frobnicate; a command comes first", ""),
    (["help", "rnu"], 'unknown command "rnu"; did you mean "run"?', ""),
    (["help", "run", "check"], '"check" is one argument too many', ""),
    (["check", "--confg", "x"], "unknown option --confg; did you mean --config?", "check "),
    (["check", "--frobnicate"], "unknown option --frobnicate", "check "),
    (["check", "-x"], "unknown option -x", "check "),
    (["check", "-xc", "a"], "unknown option -x", "check "),
    (["check", "-c"], "-c needs a value: FILE", "check "),
    (["check", "--config"], "--config needs a value: FILE", "check "),
    (["check", "--help=x"], "--help takes no value", "check "),
    (["check", "weir.yaml"], '"weir.yaml" is one argument too many', "check "),
    (["version", "-c", "x"], "unknown option -c", "version "),
])
def test_wrong_use_is_told_with_what_was_probably_meant(arguments, message, help_of):
    result = weir(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"weir: {message}\nTry: weir {help_of}--help\n"


@pytest.mark.parametrize("arguments", [["-c", "a.yaml"], ["-ca.yaml"], ["--config", "a.yaml"], ["--config=a.yaml"]])
def test_the_configuration_may_be_named_in_every_usual_way(tmp_path, arguments):
    (tmp_path / "a.yaml").write_bytes(GOOD)
    assert weir("check", *arguments, cwd=tmp_path).stdout.startswith("a.yaml is good")


def test_the_version_tells_the_kind_of_io():
    for arguments in (["version"], ["--version"], ["-V"]):
        result = weir(*arguments)
        assert (result.returncode, result.stderr) == (0, "")
        assert re.fullmatch(r"weir \d+\.\d+\.\d+ \((io_uring|epoll(: .*)?)\)\n", result.stdout)


def test_output_that_cannot_be_written_is_a_failure():
    result = weir("version", wrapper=["sh", "-c", 'exec "$@" > /dev/full', "sh"])
    assert (result.returncode, result.stderr) == (1, "weir: standard output: No space left on device\n")
