"""The command line on a bare Python: makes an environment from requirements.lock and runs it there.

Only the standard library until that environment is there; also readable for old Pythons, which it sends on.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path
from typing import NoReturn

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent
LOCK = ROOT / "requirements.lock"
STAMP = "tixxety.stamp"
OLDEST = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")


def main() -> None:
    """Run the command line here where everything is installed, else in the clone's own environment."""
    if sys.argv[1:2] == ["secrets"]:
        # Random strings need no environment.
        find_package()
        from tixxety.commands import secrets

        sys.exit(secrets.main(sys.argv[2:]))
    enter_environment([str(PACKAGE), *sys.argv[1:]])
    run_command_line()


def enter_environment(arguments: "list[str]") -> None:
    """Return inside the clone's environment; elsewhere make it if need be, and start Python again in it with these."""
    if os.name != "posix":
        fail("It runs on Linux and macOS; on Windows use WSL or Docker.")
    if os.environ.get("TIXXETY_NO_VENV") or not LOCK.exists():
        return
    place = environment_place()
    python = place / "bin" / "python"
    inside = Path(sys.prefix).resolve() == place.resolve()
    if not is_ready(place, inside):
        make_environment(place)
    elif inside:
        return
    os.execv(str(python), [str(python), *arguments])


def run_command_line() -> None:
    """Run this clone's command line; where it can't be loaded, show why and end with 2."""
    find_package()
    try:
        from tixxety.entry_point import main as command_line

        command_line()
    except ImportError as missing:
        expect_own_packages(missing)
        traceback.print_exc()
        sys.exit(2)


def find_package() -> None:
    """Have this clone imported, also where Python put the package's own folder or another project's first."""
    sys.path[:] = [str(ROOT)] + [entry for entry in sys.path if Path(entry or ".").resolve() != PACKAGE]


def expect_own_packages(missing: ImportError) -> None:
    """End where another distribution has put files into a package of ours, which pip lets it do without a word."""
    from importlib.metadata import packages_distributions

    package = (missing.name or "").partition(".")[0]
    owners = set(packages_distributions().get(package, ()))
    if "tixxety" in owners and len(owners) > 1:
        others = ", ".join(sorted(owners - {"tixxety"}))
        fail(f"{others} has put files into its package {package}: install it into an environment of its own.")


def environment_place() -> Path:
    """`.venv` beside the package; where this user can neither use nor write that, a folder below the user's cache."""
    beside = ROOT / ".venv"
    if os.access(str(beside if beside.exists() else ROOT), os.W_OK) or is_ready(beside, inside=False):
        return beside
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118
    return Path(cache) / "tixxety" / ("venv-" + hashlib.sha256(os.fsencode(str(ROOT))).hexdigest()[:8])


def is_ready(place: Path, inside: bool) -> bool:
    """Whether the environment was finished for this very lock, and its Python still runs and has the same version."""
    try:
        stamp = (place / STAMP).read_text()
    except OSError:
        return False
    version = "{}.{}".format(*sys.version_info) if inside else version_of(str(place / "bin" / "python"))
    return bool(version) and stamp == stamp_for(version)


def stamp_for(version: str) -> str:
    """What a finished environment is marked with: a hash over the lock, the project's file and the Python version."""
    parts = [LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), version.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def version_of(python: str) -> str:
    """The version of an interpreter, such as `3.11`, or nothing where it does not run (pyenv's shims may not)."""
    code = "import sys; print('{}.{}'.format(*sys.version_info))"
    try:
        return subprocess.check_output([python, "-ISc", code], stderr=subprocess.DEVNULL).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def make_environment(place: Path) -> None:
    """Make the environment once, however many commands start at the same time; the others wait and use it."""
    import fcntl

    if sys.version_info < OLDEST:
        start_with_newer_python()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with (place / "tixxety.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                say(f"waiting for another tixxety that is setting up {place} ...")
                fcntl.flock(lock, fcntl.LOCK_EX)
            # An installer that outlives us keeps the lock, so that nobody starts another beside it.
            os.set_inheritable(lock.fileno(), True)
            if not is_ready(place, inside=False):
                fill(place)
    except OSError as error:
        fail(f"the environment {place} cannot be made: {error.strerror or error}.")


def fill(place: Path) -> None:
    """Install the lock into the environment, with uv where it is and works, else with venv and pip."""
    say(f"setting up {place} (once, about a minute) ...")
    if not is_whole(place):
        empty(place)
    reason = fill_with_uv(place) if find_uv() else "uv is not installed"
    if reason and sys.version_info < OLDEST:
        fail(f"Python 3.11 or newer is needed, and uv could not bring one: {reason}")
    if reason:
        reason = fill_with_pip(place)
    if reason:
        fail(f"requirements.lock could not be installed (is a package index in reach?): {reason}")
    unfinished = place / (STAMP + ".new")
    unfinished.write_text(stamp_for(version_of(str(place / "bin" / "python"))))
    unfinished.replace(place / STAMP)


def is_whole(place: Path) -> bool:
    """Whether the environment was finished once and its Python is still there, so that only packages need to change."""
    version = version_of(str(place / "bin" / "python"))
    return bool(version) and (place / STAMP).exists() and (place / "lib" / ("python" + version)).is_dir()


def fill_with_uv(place: Path) -> str:
    """Nothing, or what went wrong."""
    uv, python = find_uv(), base_python() if sys.version_info >= OLDEST else ">=3.11"
    reason = ""
    if not (place / STAMP).exists():
        reason = attempt([uv, "venv", "--quiet", "--no-project", "--allow-existing", "--python", python, str(place)])
    target = ["--python", str(place / "bin" / "python")]
    return reason or attempt([uv, "pip", "sync", "--quiet", "--require-hashes", *target, str(LOCK)])


def fill_with_pip(place: Path) -> str:
    """Nothing, or what went wrong. Debian's Python comes without ensurepip, and perhaps without pip."""
    python = str(place / "bin" / "python")
    own_pip = has_module("ensurepip")
    if not own_pip and not has_module("pip"):
        debian = "python{}.{}-venv".format(*sys.version_info)
        fail(f"this Python cannot make environments; install the package {debian} (or uv).")
    if not ((place / STAMP).exists() and has_pip(python)):
        empty(place)
        reason = attempt([base_python(), "-m", "venv", *([] if own_pip else ["--without-pip"]), str(place)])
        if reason:
            return reason
    pip = [python, "-m", "pip"] if own_pip else [base_python(), "-m", "pip", "--python", python]
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--require-hashes"]
    return attempt([*pip, "install", *options, "-r", str(LOCK)])


def empty(place: Path) -> None:
    """Remove what an interrupted run left, but for the lock that we hold."""
    for entry in place.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(str(entry))
        elif entry.name != "tixxety.lock":
            entry.unlink()


def attempt(command: "list[str]") -> str:
    """Run a command; nothing when it went well, else the last line it said."""
    done = subprocess.run(
        command, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, close_fds=False, check=False
    )
    lines = [line.strip() for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
    if done.returncode == 0:
        return ""
    return lines[-1] if lines else f"{command[0]} ended with {done.returncode}"


def start_with_newer_python() -> None:
    """Start again with a Python that is new enough; go on where uv may bring one, else say what is missing."""
    for name in NEWER:
        python = shutil.which(name)
        if python and version_of(python):
            os.execv(python, [python, str(PACKAGE), *sys.argv[1:]])
    if not find_uv():
        fail("Python 3.11 or newer is needed; this is {}.{}.".format(*sys.version_info))


def base_python() -> str:
    """The interpreter itself, also when this runs inside the environment that is about to be made again."""
    return str(getattr(sys, "_base_executable", sys.executable))


def find_uv() -> str:
    """The path of uv, or nothing; `uv run` names itself in the variable UV."""
    return shutil.which("uv") or shutil.which(os.environ.get("UV", "")) or ""


def has_module(name: str) -> bool:
    """Whether this interpreter can import a module, without importing it."""
    import importlib.util

    return importlib.util.find_spec(name) is not None


def has_pip(python: str) -> bool:
    """Whether another interpreter can run pip."""
    return subprocess.run([python, "-c", "import pip"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def fail(text: str) -> NoReturn:
    """End with the exit code of what could not be done."""
    say(text)
    sys.exit(2)


def say(text: str) -> None:
    """Tell the person at the terminal; standard output belongs to the command."""
    sys.stderr.write(f"tixxety: {text}\n")
    sys.stderr.flush()
