# SPDX-License-Identifier: Apache-2.0
"""Fixtures for tests with real sockets. See weir.py for the balancer, peers.py for upstreams and clients, settings.py
for the environment."""

import contextlib
import itertools

import pytest

import netns
import settings
from weir import Resting, Weir, configuration


def pytest_configure(config):
    config.addinivalue_line("markers", "full: only at full size (WEIR_FULL=1)")
    config.addinivalue_line("markers", "exact: needs timing or memory figures of a release build, not of a sanitizer's")
    netns.enter()


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("full") and not settings.FULL:
            item.add_marker(pytest.mark.skip(reason="only with WEIR_FULL=1"))
        if item.get_closest_marker("exact") and settings.SLOW:
            item.add_marker(pytest.mark.skip(reason="only for builds without sanitizers and valgrind"))


@pytest.fixture(scope="session", autouse=True)
def _program():
    if not settings.BINARY.exists():
        pytest.exit(f"no program to test at {settings.BINARY}: build it, or set WEIR_BINARY", returncode=2)


@pytest.fixture(params=["epoll"] if settings.VALGRIND else ["io_uring", "epoll"])
def backend(request):
    """The io backend; a test that uses it (or `balancer`) runs once with each."""
    return request.param


@pytest.fixture(scope="module")
def resting():
    balancers = Resting()
    yield balancers
    wrong = balancers.finish()
    assert not wrong, "\n\n".join(wrong)


@pytest.fixture
def balancer(backend, tmp_path, resting):
    """Makes balancers: balancer(upstream, ..., listener={...}, pool={...}, limits=..., env=..., nofile=...).

    Use it in a `with`; `config=` replaces the whole configuration (`io` is still set)."""
    number = itertools.count(1)

    def make(*upstreams, config=None, wrapper=(), env=None, nofile=None, rest=True, main="edge", tls=None, **options):
        config = configuration(upstreams, io=backend, **options) if config is None else {**config, "io": backend}
        return Weir(config, tmp_path / f"weir{next(number)}", upstreams=upstreams, wrapper=wrapper, env=env,
                    nofile=nofile, resting=resting if rest else None, main=main, tls=tls)

    return make


@pytest.fixture
def checked(balancer):
    """Makes balancers that check their upstreams: they end with their scenario, since their checks would disturb those
    of later tests."""

    @contextlib.contextmanager
    def make(*upstreams, **options):
        with balancer(*upstreams, rest=False, **options) as weir:
            yield weir
            weir.check()
            weir.assert_idle(0.3, ticks_allowed=4)  # for the checks
            weir.stop()
            weir.stopped_by_test = True

    return make
