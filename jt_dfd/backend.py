"""Jittor, started: ``from ..backend import jt, nn`` is how every module here that computes gets at it."""
from . import runtime

jt = runtime.start()
nn = jt.nn
