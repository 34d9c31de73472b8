"""Keep two servers exactly as long as the process that started them: one for good, one restarted.

Run as a script: `python keeper.py PLACE NAMESPACE PROGRAM STEADY CHANGING`, where the last two are
the program's one argument each. For each line on its standard input the second one is ended and
started again; when that input ends, because the controller closed it or was killed, both are ended
and the directory PLACE taken away. Whatever becomes of this process itself, the kernel ends them
with it: they live in a process namespace whose first process the kernel kills when this one ends. A
signal asked for by a server's own process would not do, for the kernel forgets it when the server
gives up root.
Source: pid_namespaces(7); prctl(2), PR_SET_PDEATHSIG.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(place: str, namespace: str, program: str, steady: str, changing: str) -> None:
    """Run both in the network namespace of that path, or in ours if it is empty."""
    if namespace:
        descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        os.setns(descriptor, os.CLONE_NEWNET)
        os.close(descriptor)
    os.unshare(os.CLONE_NEWPID)
    first = os.fork()
    if first == 0:
        _keep(program, steady, changing)
    # The end of what the servers say is the sign that they have ended.
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    with contextlib.suppress(ProcessLookupError):
        for _ in sys.stdin.buffer:
            os.kill(first, signal.SIGHUP)
        os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    shutil.rmtree(place, ignore_errors=True)


def _keep(program: str, steady: str, changing: str) -> None:
    """The first process of the namespace; all others end with it, and it with any but one."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    running, asked = 0, 0
    ended: set[int] = set()

    def restart(*_: object) -> None:
        nonlocal asked
        asked += 1
        if running:
            ended.add(running)
            with contextlib.suppress(ProcessLookupError):
                os.kill(running, signal.SIGKILL)

    signal.signal(signal.SIGHUP, restart)
    os.spawnv(os.P_NOWAIT, program, [program, steady])  # noqa: S606
    while True:
        before, running = asked, 0
        running = os.spawnv(os.P_NOWAIT, program, [program, changing])  # noqa: S606
        if asked != before:  # asked for while it was being started: it may have read too early
            restart()
        if os.wait()[0] not in ended:
            os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
