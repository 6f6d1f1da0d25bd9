"""Python environments for the tools and rigs: in the cache, keyed by the lock files, shared by all clones.

`python3 -m anneal_dev.environment dev -- COMMAND ...` runs a command in a ready environment, made first where needed.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from anneal_localcluster import apt
from anneal_localcluster.errors import ClusterError

ROOT = Path(__file__).resolve().parents[2]
UV = "uv==0.13.9"
OLDEST_PYTHON = (3, 11)
LOCKS = {
    "dev": ("dev.txt", "operator.txt", "cli.txt"),
    "trainer": ("trainer.txt", "trainer-dev.txt"),
}


def cache_dir() -> Path:
    """Where everything that is built goes; outside the clone, so that a new clone starts warm."""
    return Path(os.environ.get("ANNEAL_CACHE") or Path.home() / ".cache" / "anneal")


def ensure(name: str) -> Path:
    """The folder of environment `name` (see LOCKS), made from its lock files when it does not exist yet."""
    locks = [ROOT / "requirements" / lock for lock in LOCKS[name]]
    key = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks) + sys.version.encode()).hexdigest()[:12]
    folder = cache_dir() / f"venv-{name}-{key}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"The cache {folder.parent} cannot be made: {error.strerror}. Set ANNEAL_CACHE to another folder.")
    with (folder.parent / f"venv-{name}.lock").open("w") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            _make(name, folder, locks)
    return folder


def python_of(name: str) -> str:
    """The interpreter of environment `name`, made first where needed."""
    return str(ensure(name) / "bin" / "python")


def _make(name: str, folder: Path, locks: list[Path]) -> None:
    print(f"making the {name} Python environment in {folder}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _need_venv()
    _run(sys.executable, "-m", "venv", str(folder))
    python = str(folder / "bin" / "python")
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV)
    requirements = [argument for lock in locks for argument in ("-r", str(lock))]
    _run(str(folder / "bin" / "uv"), "pip", "install", "--quiet", "--python", python, *requirements)
    (folder / ".complete").touch()


def _need_venv() -> None:
    """Debian ships Python without ensurepip; install it where we may, else say how."""
    probe = subprocess.run([sys.executable, "-c", "import ensurepip"], check=False, capture_output=True)
    if probe.returncode == 0:
        return
    if os.geteuid() != 0 or not apt.available():
        sys.exit("This Python cannot make virtual environments. Install python3-venv (Debian, Ubuntu) and run again.")
    try:
        apt.install(["python3-venv"])
    except ClusterError as error:
        sys.exit(f"error: {error}")


def _run(*argv: str) -> None:
    env = {**os.environ, "UV_CACHE_DIR": str(cache_dir() / "uv")}
    try:
        subprocess.run(argv, check=True, stdout=sys.stderr, env=env)
    except subprocess.CalledProcessError as error:
        sys.exit(f"`{' '.join(argv)}` ended with {error.returncode}; its output is above.")


def main() -> None:
    """Replace this process by the command, with the environment's programs first on PATH."""
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            f"Anneal needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12 ..."
        )
    name, separator, *command = sys.argv[1:]
    assert separator == "--"
    assert command
    folder = ensure(name) / "bin"
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
