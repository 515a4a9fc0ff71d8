"""What the first process of a container has to do: pass signals on, and reap the processes that nobody waits for."""

import os
import signal

from tixxety.processes.stop_signals import STOP_SIGNALS, signal_exit_code


def stay_as_init() -> None:
    """Go on in a child; this process stays behind as its init and ends with the child's exit code.

    The kernel gives the first process of a namespace every orphan, and shields it from signals without a handler.
    """
    # Blocked until both know what to do with them, so that none is lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        return
    for number in STOP_SIGNALS:
        signal.signal(number, lambda passed_on, _frame: os.kill(child, passed_on))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    ended, status = os.wait()
    while ended != child:
        ended, status = os.wait()
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else signal_exit_code(-code))
