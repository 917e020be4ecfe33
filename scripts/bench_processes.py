"""Measures the processes of one `app dev` for scripts/bench: CPU time and peak memory.

Reads /proc on Linux; elsewhere `ps`, which shows neither the CPU time of a finished child nor shared pages.
"""

import os
import subprocess
import threading
import time

LINUX = os.path.isdir("/proc/self")
# Time between two looks for parser children, which may live for only 30 ms. A child that ends between two looks may have
# grown after the first one.
LOOK_SECONDS = 0.01 if LINUX else 0.1
# Time between two looks at the long-lived processes: summing PostgreSQL's pages takes some milliseconds.
LOOK_AT_OTHERS_SECONDS = 0.25
# The argument of a parser child: CHILD_COMMAND in crates/readers.
PARSE_CHILD = b"parse-child"


def read(pid, name):
    """A file of /proc; empty if the process has ended."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def stat(pid):
    """The fields of /proc/PID/stat from the third on; the second, the name, may contain anything."""
    return read(pid, "stat").rpartition(b")")[2].split()


def kilobytes(text, name):
    """The value of a line `Name:  123 kB`."""
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


class Cpu:
    """CPU seconds since the start; None if this system does not tell."""

    def __init__(self, app, parsers, postgres):
        self.app, self.parsers, self.postgres = app, parsers, postgres

    def since(self, earlier):
        def less(a, b):
            return None if a is None or b is None else a - b

        return Cpu(
            less(self.app, earlier.app), less(self.parsers, earlier.parsers), less(self.postgres, earlier.postgres)
        )


class Processes(threading.Thread):
    """Looks at the processes until `stop` is called. Peaks are in bytes."""

    def __init__(self, app, postmaster):
        super().__init__(daemon=True)
        self.app, self.postmaster = app, postmaster
        self.peak_app = self.peak_parser = self.peak_postgres = 0
        self.parents, self.starting, self.parsers, self.next_others = {}, set(), set(), 0.0
        self.stopped = threading.Event()

    def run(self):
        look = self.look if LINUX else self.look_with_ps
        while not self.stopped.wait(LOOK_SECONDS):
            look()
        self.next_others = 0.0
        look()

    def stop(self):
        self.stopped.set()
        self.join()

    def look(self):
        now = set(processes())
        # A known process keeps its first parent here.
        for pid in now - self.parents.keys():
            fields = stat(pid)
            self.parents[pid] = int(fields[1]) if fields else 0
            if self.parents[pid] == self.app:
                self.starting.add(pid)
        for pid in self.parents.keys() - now:
            del self.parents[pid]
        # Before its exec a child shares its parent's memory, which must not count.
        started = {pid for pid in self.starting if PARSE_CHILD in read(pid, "cmdline")}
        self.parsers = (self.parsers | started) & now
        self.starting = (self.starting - started) & now
        for pid in self.parsers:
            self.peak_parser = max(self.peak_parser, 1024 * kilobytes(read(pid, "status"), b"VmHWM:"))
        if time.monotonic() >= self.next_others:
            self.next_others = time.monotonic() + LOOK_AT_OTHERS_SECONDS
            self.peak_app = max(self.peak_app, 1024 * kilobytes(read(self.app, "status"), b"VmHWM:"))
            # Pss divides shared pages among the processes, so the sum is what all of them take.
            took = sum(kilobytes(read(pid, "smaps_rollup"), b"Pss:") for pid in self.servers(now))
            self.peak_postgres = max(self.peak_postgres, 1024 * took)

    def servers(self, now):
        """The postmaster and its backends."""
        return [pid for pid in now if pid == self.postmaster or self.parents.get(pid) == self.postmaster]

    def look_with_ps(self):
        said = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,rss=,args="], capture_output=True, check=False).stdout
        postgres = 0
        for line in said.splitlines():
            pid, parent, kib, *command = line.split(None, 3)
            pid, parent, took = int(pid), int(parent), 1024 * int(kib)
            if pid == self.app:
                self.peak_app = max(self.peak_app, took)
            elif parent == self.app and command and PARSE_CHILD in command[0]:
                self.peak_parser = max(self.peak_parser, took)
            elif self.postmaster in (pid, parent):
                postgres += took
        self.peak_postgres = max(self.peak_postgres, postgres)

    def cpu(self):
        """CPU time up to now."""
        if not LINUX:
            said = subprocess.run(["ps", "-o", "time=", "-p", str(self.app)], capture_output=True, check=False).stdout
            seconds = 0.0
            for part in said.decode().strip().replace("-", ":").split(":"):
                seconds = seconds * 60 + float(part or 0)
            return Cpu(seconds, None, None)
        # Fields of proc(5), minus two: 11 and 12 are its own time, 13 and 14 that of ended children, which are the parsers,
        # since PostgreSQL still runs.
        tick = os.sysconf("SC_CLK_TCK")
        app = [int(field) / tick for field in stat(self.app)[11:15]]
        postgres = 0.0
        for pid in processes():
            fields = stat(pid)
            if not fields:
                continue
            if pid == self.postmaster:
                postgres += sum(int(field) for field in fields[11:15]) / tick
            elif int(fields[1]) == self.postmaster:
                postgres += sum(int(field) for field in fields[11:13]) / tick
        return Cpu(sum(app[:2]), sum(app[2:]), postgres)
