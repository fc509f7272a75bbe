"""Jittor, started: ``from ..backend import jt, nn`` is how every module here that computes gets at it."""
import jittor as jt

nn = jt.nn
