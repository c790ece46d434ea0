"""Run as a script: starts a command and writes its wall time, peak memory and exit code as JSON to a file.

A process' peak (`ru_maxrss`) begins with the memory of the process that started it. So whoever measures must be
small, and this script is: `python launch.py REPORT COMMAND ...`.
"""

import json
import os
import subprocess
import sys
import time


def main() -> None:
    """Starts, waits, reports."""
    report, *command = sys.argv[1:]
    started = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"seconds": seconds, "peak_bytes": usage.ru_maxrss * unit, "exit_code": process.returncode}
    with open(report, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
