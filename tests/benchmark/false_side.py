"""A side whose stages do what a test wants: no framework, no time."""
import os
import signal
import time

from jt_dfd.benchmark import side


class Side(side.Side):
    def open(self, **request):
        if request.get("missing"):
            return {"missing": "it is not installed"}
        return {"framework": "none", "pid": os.getpid()}

    def stage(self, name, options):
        self.called = 0
        if name == "unbuildable":
            raise RuntimeError("it does not fit\nand a page of more")
        if name == "lacking":
            raise side.NotHere("no such thing on this machine")
        return side.Task(lambda given: self._run(name), tell=lambda result: {"flops": 1000}, bytes=10)

    def _run(self, name):
        self.called += 1
        if name == "raises" and self.called == 3:
            raise ValueError("the third call is too many")
        if name == "dies" and self.called == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "hangs" and self.called == 3:
            time.sleep(600)
        if name == "speaks":
            os.write(1, b"noise on standard output\n")
        time.sleep(0.03)

    def wait(self):
        pass

    def memory(self):
        return {}
