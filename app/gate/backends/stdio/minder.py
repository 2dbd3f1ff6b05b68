"""A program of its own: it outlives us by a moment, and ends whom we leave behind, however we end (kill -9 too).

Its input names process groups, `+123` and `-123` a line each; when it ends, so do those that are left.
"""

import os
import signal
import sys
import time

GRACE = 2.0  # seconds between the request to end and the end


def reach(groups: set[int], number: int) -> set[int]:
    """Sends the signal; returns the groups that were there."""
    reached = set()
    for group in groups:
        try:
            os.killpg(group, number)
            reached.add(group)
        except OSError:
            pass
    return reached


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        group = int(line[1:])
        (groups.add if line[:1] == b"+" else groups.discard)(group)
    left = reach(groups, signal.SIGTERM)
    until = time.monotonic() + GRACE
    while left and time.monotonic() < until:
        time.sleep(0.05)
        left = reach(left, 0)
    reach(left, signal.SIGKILL)


if __name__ == "__main__":
    main()
