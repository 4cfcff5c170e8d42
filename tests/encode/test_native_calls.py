"""The interpreter ends while daemon threads are inside compiled code."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., str]

_THREAD = """
import atexit, os, sys, threading, time
from vicinal.core import native_calls
from vicinal.core.native_calls import native_call

def start(work):
    threading.Thread(target=work, daemon=True).start()
    time.sleep(0.1)

def show(*words):  # print's own lock may belong to a thread that was torn off
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""


def test_the_end_waits_for_a_call_under_way(run_script: Script) -> None:
    script = _THREAD + (
        "def work():\n    with native_call():\n        time.sleep(0.5)\n        show('left')\n"
        "start(work)\nshow('ending')"
    )
    assert run_script(script).split() == ["ending", "left"]


def test_the_end_does_not_wait_for_ever(run_script: Script) -> None:
    script = _THREAD + (
        "native_calls._LONGEST_WAIT = 0.2\n"
        "def work():\n    with native_call():\n        time.sleep(50)\n"
        "start(work)\nshow('ending')"
    )
    assert run_script(script, timeout=20).split() == ["ending"]


def test_nobody_enters_any_more_but_the_thread_that_ends(run_script: Script) -> None:
    script = _THREAD + (
        "def last():\n    time.sleep(0.3)\n    with native_call():\n        show('last', entered)\n"
        "atexit.register(last)\nentered = 0\n"
        "with native_call():\n    pass\n"
        "def work():\n    global entered\n    while not native_calls._ending:\n        time.sleep(0.001)\n"
        "    with native_call():\n        entered += 1\n"
        "start(work)\nshow('ending')"
    )
    assert run_script(script).split() == ["ending", "last", "0"]


def test_a_call_inside_a_call_is_let_in(run_script: Script) -> None:
    script = _THREAD + (
        "def work():\n    with native_call():\n        while not native_calls._ending:\n"
        "            time.sleep(0.001)\n        with native_call():\n            show('inner')\n"
        "start(work)\n"
        "atexit.register(lambda: None)\nshow('ending')"
    )
    assert run_script(script).split() == ["ending", "inner"]


def test_those_kept_out_give_way_to_what_else_runs_at_the_end(run_script: Script) -> None:
    """A thread that is kept out holds a lock that somebody's atexit function wants."""
    script = _THREAD + (
        "native_calls._LONGEST_PAUSE = 0.3\nlock = threading.Lock()\n"
        "def last():\n    with lock:\n        show('last')\n"
        "atexit.register(last)\n"
        "with native_call():\n    pass\n"
        "def work():\n    with lock:\n        while not native_calls._ending:\n            time.sleep(0.001)\n"
        "        with native_call():\n            show('entered')\n"
        "start(work)\nshow('ending')"
    )
    assert run_script(script, timeout=20).split() == ["ending", "entered", "last"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_its_parents_threads(run_script: Script) -> None:
    script = _THREAD + (
        "import signal, warnings\nwarnings.simplefilter('ignore')\n"
        "def work():\n    with native_call():\n        time.sleep(1)\n"
        "start(work)\nchild = os.fork()\n"
        "if child == 0:\n    native_calls._LONGEST_WAIT = 600\n    signal.alarm(30)  # ends a child that waits\n"
        "    native_calls._wait_for_calls()\n    os._exit(0)\n"
        "show(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert run_script(script).split() == ["0"]


_DAEMONS = {
    "encode": "model = load()\ndef work():\n    while True: model.encode(['the cat'] * 50)",
    "many batches": "model = load()\ndef work():\n    while True: model.encode(['the cat sat on'] * 2000)",
    "load": "def work():\n    while True: load().encode('a')",
}


@pytest.mark.slow
@pytest.mark.parametrize("work", _DAEMONS)
def test_a_daemon_may_be_anywhere(tiny_path: Path, run_script: Script, work: str) -> None:
    """At these moments one process in four used to end with "terminate called", exit code -6."""
    script = (
        "import os, sys, threading, time\nfrom vicinal import SentenceTransformer\n"
        "def load(): return SentenceTransformer(sys.argv[1])\n"
        f"{_DAEMONS[work]}\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "time.sleep(float(sys.argv[2]))\nos.write(1, b'done')"
    )
    for moment in range(6):
        assert run_script(script, tiny_path, 0.05 + 0.07 * moment) == "done"
