"""The git commands of a source, as data, and running one within a time limit.

A repository's address comes from whoever adds a source, and what it holds from strangers. So: no helper program that an
address could name (`ext::`), no prompt, no hook, no redirect to another machine, no option hidden in an argument.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from groundwork.errors import Invalid, NotFound, Refused, Unavailable
from groundwork.ingest.sources.addresses import Gate

_SAFETY = (
    "-c", "core.hooksPath=/dev/null", "-c", "http.followRedirects=false", "-c", "http.proxy=",
    "-c", "gc.autoDetach=false", "-c", "maintenance.autoDetach=false", "-c", "core.fsmonitor=false",
    "-c", "fetch.recurseSubmodules=false",
)  # fmt: skip
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "file:http:https:ssh",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}
# Strict, so that git and this module cannot read two different machines out of one address.
_HOST = r"(?P<host>[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?|\[[0-9a-f:.]+\])"
_URL = re.compile(
    rf"(?P<scheme>https?|ssh)://(?:(?P<user>\w[\w.:-]*)@)?{_HOST}(?::(?P<port>\d{{1,5}}))?(?:/|$)", re.I | re.A
)
_SCP_LIKE = re.compile(rf"(?:\w[\w.-]*@)?{_HOST}:(?!//)[^-].*", re.I | re.A)
_NO_ADDRESS = "{!r} is not the address of a repository: give an https or ssh address, or an absolute path."
_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=30"
_PORTS = {"http": 80, "https": 443, "ssh": 22}


@dataclass(frozen=True)
class Remote:
    """A repository that may be fetched from: what git is told, and the options that hold it to that machine."""

    url: str
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


def judge(url: str, gate: Gate) -> Remote:
    """The repository at `url`, after its machine's addresses have been judged; git is held to the judged one.

    Raises Invalid for an address git is not given, Refused for a machine that may not be fetched from, Unavailable
    when its name leads nowhere.
    """
    if url.startswith("-") or "::" in url.partition("/")[0]:
        raise Invalid(_NO_ADDRESS.format(url[:200]))
    if url.startswith("/"):
        return Remote(url)
    scp = _SCP_LIKE.fullmatch(url) if "://" not in url else None
    if scp is not None:
        return _over_ssh(url, scp["host"].lower(), 22, gate)
    if url.startswith("file:///"):
        return Remote(url)
    found = _URL.match(url)
    if found is None:
        raise Invalid(_NO_ADDRESS.format(url[:200]))
    scheme, user, host = found["scheme"].lower(), found["user"], found["host"].lower()
    port = int(found["port"] or _PORTS[scheme])
    if scheme == "ssh":
        return _over_ssh(url, host, port, gate)
    if user:
        raise Invalid("An address with a password in it is not taken: put it into git's credential helper or ~/.netrc.")
    address = gate.admit(host, port)[0]
    if host.startswith("["):
        return Remote(url)  # an address already, which nobody looks up
    target = f"[{address}]" if ":" in address else address
    return Remote(url, ("-c", f"http.curloptResolve={host}:{port}:{target}"))


def _over_ssh(url: str, host: str, port: int, gate: Gate) -> Remote:
    address = gate.admit(host, port)[0]
    known_as = host if port == 22 else f"[{host}]:{port}"
    # ssh looks its name up again; it is told the judged address, and to expect the key of the name.
    command = f"{_SSH} -o HostName={address} -o HostKeyAlias={known_as} -o CheckHostIP=no"
    return Remote(url, (), {"GIT_SSH_COMMAND": command})


def init(mirror: Path) -> list[str]:
    """Makes the folder a bare repository; one that is stays as it is."""
    return ["git", *_SAFETY, "init", "--quiet", "--bare", "--template=", "--", str(mirror)]


def fetch(mirror: Path, remote: Remote, wanted: str, kept_as: str) -> list[str]:
    """Brings the newest commit of ref `wanted`, without its history, and keeps it as ref `kept_as`."""
    return [
        "git", *_SAFETY, *remote.options, "-C", str(mirror), "fetch", "--quiet", "--force", "--depth=1", "--no-tags",
        "--no-recurse-submodules", "--no-write-fetch-head", "--end-of-options", remote.url, f"+{wanted}:{kept_as}",
    ]  # fmt: skip


def resolve(mirror: Path, ref: str) -> list[str]:
    """Prints the commit that `ref` stands for."""
    return [
        "git",
        *_SAFETY,
        "-C",
        str(mirror),
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        f"{ref}^{{commit}}",
    ]


def tree(mirror: Path, commit: str) -> list[str]:
    """Prints every file of `commit`: mode, type, object, size and path, each ending in NUL."""
    return ["git", *_SAFETY, "-C", str(mirror), "ls-tree", "-r", "-z", "--long", "--full-tree", commit]


def contents(mirror: Path) -> list[str]:
    """Answers object names on its input with the objects."""
    return ["git", *_SAFETY, "-C", str(mirror), "cat-file", "--batch"]


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Of every git command: nothing that would point it at another repository."""
    inherited = {name: value for name, value in os.environ.items() if name not in _POINTING_ELSEWHERE}
    return {**inherited, **_ENVIRONMENT, **extra}


_POINTING_ELSEWHERE = frozenset(
    "GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_NAMESPACE "
    "GIT_COMMON_DIR GIT_PROXY_COMMAND GIT_SSH GIT_SSH_COMMAND GIT_EXTERNAL_DIFF GIT_CONFIG_PARAMETERS "
    "GIT_TRACE GIT_TRACE_CURL GIT_TRACE_PACKET".split()
)


def run(command: Sequence[str], timeout: float, extra: Mapping[str, str] | None = None) -> bytes:
    """What the command prints.

    Raises what its failure means: NotFound, Refused, Invalid, or Unavailable when it takes longer than `timeout`
    seconds, when git is not installed and for everything that may pass.
    """
    process = start(command, extra or {})
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"git did not finish within {timeout:g} seconds (GROUNDWORK_SOURCES__GIT_TIMEOUT_SECONDS): try again later."
        ) from None
    finally:
        stop(process)
    if process.returncode != 0:
        raise explained(errors.decode("utf-8", "replace"))
    return output


def start(command: Sequence[str], extra: Mapping[str, str], with_input: bool = False) -> subprocess.Popen[bytes]:
    """Starts a git command in a process group of its own. Raises Unavailable when git is not installed."""
    if shutil.which("git") is None:
        raise Unavailable("git is not installed on this machine: install it (apt-get install git) and try again.")
    return subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE if with_input else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if with_input else subprocess.PIPE,
        env=environment(extra),
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a command together with the helpers it started, and reaps it."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    process.wait()


def explained(errors: str) -> Exception:
    """What git's complaint means to a person."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "nothing")
    said = re.sub(r"//[^/@\s]*@", "//", said)[:300]
    for sign, kind, advice in _MEANINGS:
        if re.search(sign, errors, re.I):
            return kind(f"{advice} (git says: {said})")
    return Unavailable(f"The repository cannot be fetched now: try again later. (git says: {said})")


_MEANINGS = (
    ("couldn't find remote ref", NotFound, "The repository has no such branch: check its name."),
    ("returned error: 30", Invalid, "The repository has moved: give the address it moved to."),
    (
        "dubious ownership",
        Refused,
        "The repository belongs to another user: allow it with `git config --global --add safe.directory PATH`.",
    ),
    ("host key verification failed", Refused, "The machine's ssh key is not known: add it to known_hosts first."),
    (
        "could not read username|authentication failed|returned error: 40[13]|permission denied",
        Refused,
        "The repository asks for a login: set up git's credential helper, ~/.netrc or an ssh key for this user.",
    ),
    ("transport '.*' not allowed", Refused, "A repository is reached by https, ssh or a path; not like this."),
    (
        "not appear to be a git repository|not a git repository|returned error: 404|repository .* (not found|does not exist)",
        NotFound,
        "There is no repository at this address: check it.",
    ),
)
