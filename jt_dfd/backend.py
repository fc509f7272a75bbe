"""Jittor, started by its first use: ``from ..backend import jt, nn`` is how every module here that computes gets at it.

Importing a module never starts Jittor, which takes a second where it is compiled and minutes where it is not.  ``jt``
and ``nn`` stand for the modules ``jittor`` and ``jittor.nn``; reading anything of them calls ``runtime.start()``.  Code
that wants another device than the automatic choice starts it before that: ``runtime.start("cuda")``.

The exceptions are the modules in ``DERIVING``: they define classes that derive from Jittor's, and Python needs the base
class at once.  The rule: such a module is imported inside the function that builds or runs networks, never at the top
of a module that is not in the list itself.  tests/runtime/test_lazy.py holds every module of the package to it.
"""
from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any, Callable

from . import runtime

#: modules that start Jittor when they are imported
DERIVING = frozenset("jt_dfd." + name for name in (
    "networks.modules", "networks.half", "networks.steps", "inference.pipeline",
    "data.dataset", "data.hed", "benchmark.release_side"))


class _Lazy(types.ModuleType):
    """A module that is looked up when something of it is asked for."""

    _find: Callable

    def __init__(self, name: str, find: Callable):
        super().__init__(name)
        self.__dict__["_find"] = find

    def __getattr__(self, name: str):
        # asked of any object by Python's own tools (inspect, copy, pytest)
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        value = getattr(self._find(), name)
        if not isinstance(value, (int, str)):  # functions, classes, flags; states such as in_mpi change
            self.__dict__[name] = value  # the next time as quick as of any module
        return value

    def __setattr__(self, name: str, value) -> None:
        self.__dict__.pop(name, None)
        setattr(self._find(), name, value)

    def __delattr__(self, name: str) -> None:
        self.__dict__.pop(name, None)
        delattr(self._find(), name)

    def __dir__(self):
        return dir(self._find())


if TYPE_CHECKING:  # never read by Python: to a checker the modules themselves, so that jt.Var is a type
    import jittor as jt
    nn = jt.nn
else:
    jt = _Lazy("jittor", runtime.jt)
    nn = _Lazy("jittor.nn", lambda: runtime.jt().nn)


def derived(base: str) -> Callable[[Any], Callable]:
    """A decorator: the class gets Jittor's ``base`` ("Function") as its base class when it is first called.

    For classes that are only ever called: ``isinstance`` and subclasses need the class itself, so their modules belong
    in ``DERIVING``.
    """
    def decorate(cls):
        @functools.lru_cache(maxsize=None)
        def made():
            return type(cls.__name__, (cls, getattr(jt, base)), {})

        return lambda *arguments: made()(*arguments)
    return decorate
