"""A timer of the kernel that an event loop can wait on, exact to some tens of microseconds.

uvloop's own timers count milliseconds, as long as a whole request takes. Python 3.13 has `os.timerfd_create`; until
that is the oldest version, the two calls go through ctypes.
"""

from __future__ import annotations

import ctypes
import os
import time

_libc = ctypes.CDLL(None, use_errno=True)
_TFD_NONBLOCK = os.O_NONBLOCK
_TFD_CLOEXEC = os.O_CLOEXEC
_TFD_TIMER_ABSTIME = 1


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class Alarm:
    """One timer; `fd` becomes readable when it rings. Raises `OSError` where the kernel has none to give."""

    def __init__(self) -> None:
        self.fd = _checked(_libc.timerfd_create(time.CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC))

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns` (nanoseconds of `time.monotonic_ns`); at once where that has passed."""
        # A value of nought would switch the timer off.
        seconds, nanoseconds = divmod(max(at_ns, 1), 1_000_000_000)
        spec = _TimerSpec(_TimeSpec(0, 0), _TimeSpec(seconds, nanoseconds))
        _checked(_libc.timerfd_settime(self.fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None))

    def clear(self) -> None:
        """Take note that it has rung, so that `fd` is quiet again."""
        try:
            os.read(self.fd, 8)
        except BlockingIOError:  # set anew between ringing and reading
            pass

    def close(self) -> None:
        os.close(self.fd)


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
