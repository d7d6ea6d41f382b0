"""A real PostgreSQL server of the tests' own, in a folder and on a port of its own."""
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from processes import wait_until

PASSWORD = "not-for-the-log"


def program(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}")) or [shutil.which(name)]
    assert found[-1], f"{name} is missing: install Debian's package postgresql"
    return found[-1]


def as_whom():
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    return {"user": "postgres", "group": "postgres", "extra_groups": []}


class Postgres:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="spillway-postgres-"))
        self.data, self.child, self.databases = self.folder / "data", None, 0
        password = self.folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        if as_whom():
            for path in (self.folder, password):
                os.chown(path, pwd.getpwnam("postgres").pw_uid, -1)
        subprocess.run([program("initdb"), "-D", self.data, "-U", "keeper", "--auth=scram-sha-256", "--pwfile", password,
                        "-E", "UTF8", "--locale=C", "--no-sync"], check=True, capture_output=True, cwd=self.folder, **as_whom())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self):
        """Again and again: what the server before left may not have ended yet."""
        def up():
            if self.child is None or self.child.poll() is not None:
                self.child = subprocess.Popen(
                    [program("postgres"), "-D", self.data, "-k", self.folder, "-h", "127.0.0.1", "-p", str(self.port)],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder, **as_whom())
            return self.query("SELECT 1", check=False) == [["1"]]
        wait_until(up, what="PostgreSQL")

    def kill(self):
        """As a power cut of the machine would: the server and all that serve connections."""
        with open(f"/proc/{self.child.pid}/task/{self.child.pid}/children", encoding="ascii") as listed:
            children = [int(child) for child in listed.read().split()]
        for process in (self.child.pid, *children):
            os.kill(process, signal.SIGKILL)
        self.child.wait(timeout=10)

    def query(self, sql, database="postgres", check=True):
        done = subprocess.run([program("psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "keeper", "-d", database,
                               "-AtqX", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", sql], check=False, text=True,
                              capture_output=True, env={"PGPASSWORD": PASSWORD, "PATH": os.environ["PATH"]})
        assert not check or done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]

    def database(self):
        """A new one's connection string."""
        self.databases += 1
        self.query(f"CREATE DATABASE book{self.databases}")
        return f"postgresql://keeper:{PASSWORD}@127.0.0.1:{self.port}/book{self.databases}"

    def book(self, address, sql):
        return self.query("SET search_path TO spillway_ledger;" + sql, address.rsplit("/", 1)[1])

    def end(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)  # Whoever is connected is sent away.
            self.child.wait(timeout=20)
        shutil.rmtree(self.folder, ignore_errors=True)
