"""An ssh server on loopback with keys, configuration and users' folders of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class SshServer:
    """``far`` is its name for the ssh that stands in :attr:`bin`.

    Attributes:
        folder: of everything.
        home: the home directory that verbs find there.
        bin: to be the first on a PATH: an ``ssh`` that knows the server.
        config: of that ssh.
    """

    def __init__(self, folder: Path) -> None:
        sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        ssh = shutil.which("ssh")
        if sshd is None or ssh is None:
            pytest.skip("needs an ssh server: apt install openssh-server")
        if os.getuid() == 0 and not Path("/run/sshd").is_dir():
            pytest.skip("sshd of root needs the folder /run/sshd: mkdir /run/sshd")
        self.folder, self.home, self.bin = folder, folder / "far", folder / "bin"
        for each in (folder, self.home / ".local" / "bin", self.bin):
            each.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)],
                check=True,
            )
        host_key = (folder / "host.pub").read_text().split()[:2]
        self.known = folder / "known_hosts"
        self.known.write_text(f"[127.0.0.1]:{self.port} {' '.join(host_key)}\n")
        (folder / "sshd_config").write_text(self._server_config())
        self.config = folder / "ssh_config"
        self.config.write_text(self._client_config())
        self.write_program(self.bin / "ssh", f'exec {ssh} -F {self.config} "$@"')
        self.install()
        self._server = subprocess.Popen(
            [sshd, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.DEVNULL
        )
        self._wait()

    def _server_config(self) -> str:
        return f"""
            Port {self.port}
            ListenAddress 127.0.0.1
            HostKey {self.folder}/host
            PidFile none
            AuthorizedKeysFile {self.folder}/user.pub
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            PermitRootLogin prohibit-password
            StrictModes no
            UsePAM no
            SetEnv HOME={self.home} PATH=/usr/bin:/bin LC_ALL=C.UTF-8
        """

    def _client_config(self) -> str:
        return f"""
            Host far far.example stranger
            HostName 127.0.0.1
            Port {self.port}
            User {getpass.getuser()}
            IdentityFile {self.folder}/user
            IdentitiesOnly yes
            UserKnownHostsFile {self.known}
            BatchMode yes
            ConnectTimeout 20
            Host closed
            HostName 127.0.0.1
            Port {free_port()}
        """

    def write_program(self, path: Path, body: str) -> None:
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def install(self) -> None:
        """Install flowdeck there, as pipx and uv do: in ``~/.local/bin``."""
        paths = os.pathsep.join(str(ROOT / part) for part in ("engine", "store", "app"))
        self.write_program(
            self.home / ".local" / "bin" / "flowdeck",
            f'PYTHONPATH={paths} exec {sys.executable} -P -m flowdeck_app "$@"',
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._server.poll() is None:
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        pytest.skip("the ssh server of this machine does not start")

    def close(self) -> None:
        self._server.terminate()
        self._server.wait()
