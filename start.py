"""One command from a fresh copy to the studio. Needs nothing but Python.

    python start.py [flags of app.py]     set up .venv, start the studio, open the browser
    python start.py demo [flags]          set up, then make a talking film without a browser
    python start.py test [pytest flags]   set up with the test tools, then lint and run the tests
    python start.py setup                 set up only

Set-up flags, for all of them:
    --index-url URL, --extra-index-url URL   where pip looks for packages (pip's own PIP_* variables work too)
    --no-browser                             do not open the browser

INFINITETALK_VENV names another folder for the environment. Set-up is done once; it runs again only when the lock files
change or when it was interrupted. Only files whose hashes stand in the lock files are installed, wherever they come
from, and nothing is built from sources (docs/security.md, Supply chain).

This file avoids newer syntax on purpose: a too old Python must get far enough to print a sentence.
"""

import contextlib
import hashlib
import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import webbrowser

SUPPORTED = ((3, 11), (3, 12))  # the packages publish wheels for these
HERE = os.path.dirname(os.path.abspath(__file__))
RUNTIME_LOCKS = ("requirements.lock",)
TEST_LOCKS = ("requirements.lock", "requirements-dev.lock")
CPU_LOCK = "requirements-cpu.lock"  # PyTorch's CPU build, taken where an index has it
CUDA_LOCK = "requirements-cuda.lock"  # what PyTorch's CUDA build needs beside the others
NEEDED_GB = 4.5  # the environment with CPU wheels, and room for pip to unpack
DEFAULT_PORT = 7860
UNFINISHED_MARK = "infinitetalk-setup-unfinished"
STAMP = "infinitetalk-setup.stamp"
LOG = "infinitetalk-setup.log"
# Whatever loads native libraries, so that a missing system library is found here and not on the first press.
CHECK_IMPORTS = "import numpy, torch, cv2, av, soundfile, gradio"
SYSTEM_LIBRARIES = ("libgl1", "libglib2.0-0")  # OpenCV's wheel leaves these to the system

NO_FILE = (
    "The package index could not be reached, or has no build of a package for this machine; check the network and "
    "use 64-bit Python 3.11 on Linux, macOS or Windows."
)
# (signs in what pip says, whether pip stopped before installing anything, the sentence to show)
PIP_TROUBLES = (
    (
        ("DO NOT MATCH THE HASHES", "--require-hashes mode"),
        True,
        "A package is not the file that this version was made with (its hash differs) and was not installed; check the "
        "package index and the proxy you use, get a fresh copy of the studio and run the same command again.",
    ),
    (
        ("No space left on device", "Errno 28", "not enough space on the disk"),
        False,
        "The disk filled up while packages were installed; free about 5 GB and run the same command again.",
    ),
    (
        (
            "Failed to establish a new connection",
            "NewConnectionError",
            "Name or service not known",
            "Temporary failure in name resolution",
            "nodename nor servname",
            "getaddrinfo failed",
            "Network is unreachable",
            "ConnectTimeoutError",
            "ReadTimeoutError",
            "ProxyError",
        ),
        True,
        "The package index could not be reached; connect to the network (or set the proxy or PIP_INDEX_URL) and run "
        "the same command again.",
    ),
    (
        ("CERTIFICATE_VERIFY_FAILED", "SSLError"),
        True,
        "The package index answered with a certificate that is not trusted here; set PIP_CERT to your organisation's "
        "certificate file and run the same command again.",
    ),
    (
        ("Permission denied", "Errno 13", "Access is denied"),
        False,
        "A folder of the environment cannot be written; set INFINITETALK_VENV to a folder you own.",
    ),
    (
        ("No matching distribution found", "Could not find a version", "ResolutionImpossible"),
        True,
        NO_FILE,
    ),
)


class SetupError(Exception):
    """The sentence to show; nothing else is printed."""


class NotOnTheIndex(SetupError):
    """The indexes answered, and have no file of a package for this machine."""


def say(text):
    print(text, flush=True)


# ----------------------------------------------------------------------------------------------------------------------
# Python and the environment


def is_supported(version):
    return tuple(version[:2]) in SUPPORTED


def supported_text():
    return " or ".join("%d.%d" % version for version in SUPPORTED)


def find_supported_python():
    """The command of a supported Python on this machine as a list, or None."""
    candidates = [["python%d.%d" % version] for version in SUPPORTED]
    if os.name == "nt":
        candidates += [["py", "-%d.%d" % version] for version in SUPPORTED]
    for command in candidates:
        if shutil.which(command[0]) and _python_version(command) in SUPPORTED:
            return command
    return None


def _python_version(command):
    """(major, minor) of the Python that `command` starts, or None if it does not start."""
    try:
        answer = subprocess.run(
            command + ["-c", "import sys; print(*sys.version_info[:2])"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
        )
        return tuple(int(part) for part in answer.stdout.split()) if answer.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def venv_dir():
    return os.path.abspath(os.path.expanduser(os.environ.get("INFINITETALK_VENV") or os.path.join(HERE, ".venv")))


def venv_python(folder, windows=None):
    """The interpreter inside the environment `folder`."""
    windows = os.name == "nt" if windows is None else windows
    return os.path.join(folder, "Scripts", "python.exe") if windows else os.path.join(folder, "bin", "python")


def fingerprint(locks):
    """A hash of the lock files: what the environment has to hold."""
    digest = hashlib.sha256()
    for name in tuple(locks) + (CPU_LOCK, CUDA_LOCK):
        with open(os.path.join(HERE, name), "rb") as file:
            digest.update(name.encode() + b"\0" + file.read().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def read_stamps(folder):
    """Fingerprints of what `folder` holds; empty when set-up never finished."""
    try:
        with open(os.path.join(folder, STAMP), encoding="utf-8") as file:
            return set(file.read().split())
    except OSError:
        return set()


def write_stamps(folder, stamps):
    path = os.path.join(folder, STAMP)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write("\n".join(sorted(stamps)) + "\n")
    os.replace(path + ".new", path)


def mark_unfinished(folder):
    with open(os.path.join(folder, UNFINISHED_MARK), "w", encoding="utf-8") as file:
        file.write("A set-up that did not finish leaves this file; the next one then starts afresh.\n")


def has_nvidia():
    return shutil.which("nvidia-smi") is not None


def free_gb(folder):
    """Free space where `folder` is or will be."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free / 1e9


def make_venv(folder):
    """An empty environment in `folder`; what an interrupted set-up left there is removed first."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            "This Python (%s) has no venv module; install it (on Debian and Ubuntu: apt install python%d.%d-venv) and "
            "run the same command again." % (sys.executable, sys.version_info[0], sys.version_info[1])
        )
    if os.path.isdir(folder) and os.listdir(folder):
        if not os.path.isfile(os.path.join(folder, "pyvenv.cfg")):
            raise SetupError(
                f"{folder} exists and is no Python environment; move it away or set INFINITETALK_VENV to another "
                "folder."
            )
        shutil.rmtree(folder)
    say(f"Making the environment {folder} (Python {platform.python_version()})")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise SetupError(f"The environment cannot be made in {folder} ({error.strerror or error}).") from error
    answer = subprocess.run([sys.executable, "-m", "venv", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if answer.returncode != 0:
        lines = answer.stdout.decode(errors="replace").strip().splitlines() or ["no message"]
        raise SetupError(f"The environment could not be made in {folder}: {lines[-1]}")


def set_up(locks, options=()):
    """Make the environment hold everything in `locks`; returns its Python. Instant when nothing changed.

    Raises:
        SetupError: with the sentence to show.
    """
    folder = venv_dir()
    with only_one(folder):
        if os.path.exists(os.path.join(folder, UNFINISHED_MARK)):
            say("The last set-up did not finish; starting it afresh.")
        elif fingerprint(locks) in read_stamps(folder) and _python_version([venv_python(folder)]) in SUPPORTED:
            return venv_python(folder)
        _install(folder, locks, options)
    return venv_python(folder)


def _install(folder, locks, options):
    started = time.time()
    python = venv_python(folder)
    mark = os.path.join(folder, UNFINISHED_MARK)
    if free_gb(folder) < NEEDED_GB and not read_stamps(folder):
        raise SetupError(
            f"Setting up needs about {NEEDED_GB:.1f} GB and {free_gb(folder):.1f} GB are free on the disk of {folder}; "
            "free some space or set INFINITETALK_VENV to a folder on another disk."
        )
    if os.path.exists(mark) or _python_version([python]) not in SUPPORTED:
        make_venv(folder)
    mark_unfinished(folder)

    say(f"Installing packages into {folder} (once; some hundred MB to download)")
    if platform.system() == "Linux" and not has_nvidia() and not options:
        say(
            "No NVIDIA GPU found. If torch starts to bring several GB of CUDA packages, press Ctrl-C and run again "
            "with --extra-index-url and the address of PyTorch's CPU wheels (pytorch.org, Get Started)."
        )
    fresh = not install_cpu_build(python, folder, options)
    pip_install(python, folder, locks, options, fresh)
    build = torch_version(python)
    if platform.system() == "Linux" and build and "+cpu" not in build:
        say("Installing what PyTorch's CUDA build needs")
        pip_install(python, folder, (CUDA_LOCK,), options, fresh=False)
    check_imports(python)
    # Older stamps may no longer be true of what is installed now. The tests' locks contain the studio's.
    write_stamps(folder, {fingerprint(locks), fingerprint(RUNTIME_LOCKS)})
    os.remove(mark)
    say(f"Set up in {time.time() - started:.0f} s.")


@contextlib.contextmanager
def only_one(folder):
    """Refuses a second set-up of `folder` at the same time; the system drops the lock when its holder dies."""
    name = f"infinitetalk-setup-{hashlib.sha256(folder.encode()).hexdigest()[:16]}.lock"
    with open(os.path.join(tempfile.gettempdir(), name), "a+", encoding="utf-8") as file:
        try:
            if os.name == "nt":
                import msvcrt

                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SetupError(f"Another set-up of {folder} is running; wait until it has finished.") from None
        yield


def torch_version(python):
    """The version of the installed PyTorch; an empty text where there is none."""
    code = "from importlib.metadata import version; print(version('torch'))"
    answer = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return answer.stdout.decode(errors="replace").strip()


def install_cpu_build(python, folder, options):
    """Install PyTorch's CPU build if one of pip's indexes has it; True if it did.

    Such a build ("2.13.0+cpu") is newer than the ordinary one in pip's eyes, so whoever names an index of them gets it.
    Said here, because among files with hashes pip would prefer those whose hash an index tells in advance.
    """
    with open(os.path.join(HERE, CPU_LOCK), encoding="utf-8") as file:
        pinned = [line.split()[0].partition("==")[2] for line in file if line.startswith("torch==")]
    installed = torch_version(python)
    if not pinned or platform.system() == "Darwin" or installed.partition("+")[0] == pinned[0].partition("+")[0]:
        return False
    try:
        pip_install(python, folder, (CPU_LOCK,), options)
    except NotOnTheIndex:
        mark_unfinished(folder)
        return False
    return True


def pip_install(python, folder, locks, options, fresh=True):
    """Install what the lock files name, and nothing else: they are complete, so pip resolves nothing.

    fresh: nothing was installed by an earlier call, so a failure before anything is installed leaves nothing half done.
    """
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    command += ["--require-hashes", "--no-deps", "--only-binary", ":all:"]
    for name in locks:
        command += ["-r", os.path.join(HERE, name)]
    command += list(options)
    on_terminal = sys.stdout.isatty()
    if not on_terminal:
        command += ["--progress-bar", "off"]
    troubles = []
    with open(os.path.join(folder, LOG), "w" if fresh else "a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            stdout=None if on_terminal else subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            errors="replace",
        )
        reader = threading.Thread(target=_keep_lines, args=(process.stderr, troubles, log))
        reader.start()
        try:
            if not on_terminal:
                for line in process.stdout:
                    log.write(line)
                    shown = progress_line(line)
                    if shown:
                        say(shown)
            process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            reader.join()
    if process.returncode != 0:
        if process.returncode < 0:
            why = "as happens when memory runs out" if process.returncode == -9 else "from outside"
            troubles.append(f"pip was ended by signal {-process.returncode}, {why}")
        trouble, nothing_installed = explain("".join(troubles), os.path.join(folder, LOG))
        if nothing_installed and fresh:
            os.remove(os.path.join(folder, UNFINISHED_MARK))
        raise (NotOnTheIndex if trouble == NO_FILE else SetupError)(trouble)


def _keep_lines(stream, kept, log):
    for line in stream:
        kept.append(line)
        log.write(line)


def progress_line(line):
    """What to show of a line of pip's when nobody watches a progress bar; None for the chatter."""
    line = line.strip()
    if line.startswith(("Downloading ", "Processing ")):
        name = line.split()[1].rsplit("/", 1)[-1]
        if name.endswith((".whl", ".tar.gz", ".zip")):
            return "  " + " ".join([name] + line.split()[2:4] if "(" in line and "from" not in line else [name])
    if line.startswith("Installing collected packages"):
        return f"  unpacking {line.count(',') + 1} packages"
    return None


def explain(pip_output, log):
    """(one sentence for pip's failure, True if it failed before it installed anything)."""
    for signs, nothing_installed, sentence in PIP_TROUBLES:
        if any(sign in pip_output for sign in signs):
            return sentence, nothing_installed
    lines = [line.strip() for line in pip_output.splitlines() if line.strip()]
    errors = [line for line in lines if line.upper().startswith("ERROR")]
    last = (errors or lines or ["pip gave no reason"])[-1]
    return f"Installing the packages failed: {last.rstrip('.')} (everything pip said is in {log}).", False


def check_imports(python):
    answer = subprocess.run([python, "-c", CHECK_IMPORTS], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if answer.returncode == 0:
        return
    text = answer.stderr.decode(errors="replace").strip()
    last = text.splitlines()[-1] if text else "no message"
    if "cannot open shared object file" in text:
        raise SetupError(
            f"A system library is missing ({last.split(': ')[1] if ': ' in last else last}); on Debian and Ubuntu: "
            f"apt install {' '.join(SYSTEM_LIBRARIES)}."
        )
    raise SetupError(f"The packages were installed but do not load: {last.rstrip('.')}.")


# ----------------------------------------------------------------------------------------------------------------------
# What to run


def split_flags(arguments):
    """(flags for pip, open the browser?, everything else)."""
    options, rest, browser = [], [], True
    arguments = list(arguments)
    while arguments:
        flag = arguments.pop(0)
        if flag in ("--index-url", "--extra-index-url"):
            if not arguments:
                raise SetupError(f"{flag} needs the address of a package index after it.")
            options += [flag, arguments.pop(0)]
        elif flag.startswith(("--index-url=", "--extra-index-url=")):
            options.append(flag)
        elif flag == "--no-browser":
            browser = False
        else:
            rest.append(flag)
    return options, browser, rest


def flag_value(arguments, name, default):
    """The value of `--name value` or `--name=value` among `arguments`."""
    value = default
    for i, argument in enumerate(arguments):
        if argument == name and i + 1 < len(arguments):
            value = arguments[i + 1]
        elif argument.startswith(name + "="):
            value = argument.split("=", 1)[1]
    return value


def studio_url(arguments):
    host = flag_value(arguments, "--host", os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    port = flag_value(arguments, "--port", os.environ.get("GRADIO_SERVER_PORT", str(DEFAULT_PORT)))
    reachable = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
    return f"http://{reachable}:{port}"


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=2).close()
        return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def browser_makes_sense():
    if os.environ.get("CI") or os.environ.get("SPACE_ID") or os.environ.get("SSH_CONNECTION"):
        return False
    if platform.system() == "Linux":
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


def open_browser_when_up(url, process):
    while process.poll() is None:
        if answers(url):
            webbrowser.open(url)
            return
        time.sleep(0.3)


def run_studio(python, arguments, browser):
    url = studio_url(arguments)
    asks_for_help = any(flag in ("-h", "--help") for flag in arguments)
    if not asks_for_help and answers(url):
        raise SetupError(
            f"Something already answers at {url}; stop it, or choose another port: python start.py --port 7861."
        )
    process = subprocess.Popen([python, os.path.join(HERE, "app.py")] + arguments, cwd=HERE)
    if browser and browser_makes_sense() and not asks_for_help:
        threading.Thread(target=open_browser_when_up, args=(url, process), daemon=True).start()
    return _wait(process)


def _wait(process):
    """The child's exit code. Ctrl-C reaches the child too; it gets the time to end by itself."""
    while True:
        try:
            code = process.wait()
            # A shell reports a child ended by a signal as 128 + its number.
            return code if code >= 0 else 128 - code
        except KeyboardInterrupt:
            continue
        except SystemExit:  # a polite kill of this process: the child goes first
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def run_demo(python, arguments):
    return _wait(subprocess.Popen([python, "-m", "infinitetalk", "demo"] + arguments, cwd=HERE))


def find_chromium():
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, names) if path), None)


def provide_chromium():
    """The browser tests drive a Chromium of the system; installed where that takes no password."""
    if find_chromium():
        return
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if is_root and shutil.which("apt-get"):
        say("Installing Chromium for the browser tests")
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            answer = subprocess.run(
                ["apt-get", "-q"] + command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            if answer.returncode != 0:
                lines = answer.stdout.decode(errors="replace").strip().splitlines() or ["no message"]
                say(f"apt-get {command[0]} failed: {lines[-1]}")
                break
    if not find_chromium():
        say("*** NO CHROMIUM ON THIS MACHINE: the browser tests will be skipped. Install Chromium to run them. ***")


def run_tests(python, arguments):
    provide_chromium()
    environment = dict(os.environ)
    # Two workers with one thread each beat one worker with two, and do not fight over the cores.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment.setdefault(name, "1")
    environment.setdefault("TOKENIZERS_PARALLELISM", "false")
    say("ruff check")
    lint = subprocess.run([python, "-m", "ruff", "check", "."], cwd=HERE, env=environment).returncode
    if not any(a == "-n" or a.startswith(("-n", "--numprocesses")) for a in arguments):
        workers = min(os.cpu_count() or 1, 4)
        arguments = ["-n", str(workers), "--dist", "loadfile"] + arguments
    tests = _wait(subprocess.Popen([python, "-m", "pytest"] + arguments, cwd=HERE, env=environment))
    return tests or lint


def main(arguments):
    # Ctrl-C and a polite kill both leave the unfinished mark behind, which is what makes the next run start afresh.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    command = arguments[0] if arguments and arguments[0] in ("demo", "test", "setup") else "studio"
    if command != "studio":
        arguments = arguments[1:]
    elif arguments[:1] in (["-h"], ["--help"]):
        say(__doc__.strip())
        return 0
    elif arguments and not arguments[0].startswith("-"):
        raise SetupError(f"{arguments[0]!r} is no command of start.py; there are demo, test, setup, or none.")

    if not is_supported(sys.version_info):
        return run_with_supported_python()
    if sys.maxsize < 2**32:
        raise SetupError(f"This Python is a 32-bit one; install 64-bit Python {supported_text()}.")

    options, browser, rest = split_flags(arguments)
    python = set_up(TEST_LOCKS if command == "test" else RUNTIME_LOCKS, options)
    if command == "setup":
        say(f"Ready: {python}")
        return 0
    if command == "test":
        return run_tests(python, rest)
    if command == "demo":
        return run_demo(python, rest)
    return run_studio(python, rest, browser)


def run_with_supported_python():
    """This Python cannot hold the packages; another one on the machine may."""
    here = "%d.%d" % tuple(sys.version_info[:2])
    other = find_supported_python()
    if other is None:
        raise SetupError(
            f"This is Python {here}; the studio needs Python {supported_text()}: install one (python.org) and run it "
            "with start.py."
        )
    say(f"This is Python {here}; going on with {' '.join(other)}, which is supported.")
    return _wait(subprocess.Popen(other + [os.path.abspath(__file__)] + sys.argv[1:]))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Stopped; run the same command again to go on.", file=sys.stderr)
        sys.exit(130)
