"""What git is told, and what it is never told."""

from pathlib import Path

import pytest

from groundwork.errors import GroundworkError, Invalid, NotFound, Refused, Unavailable
from groundwork.ingest.sources import gitcommand
from groundwork.ingest.sources.addresses import Gate
from groundwork.ingest.sources.config import GitConfig

_PUBLIC = Gate(resolve=lambda *_: ["93.184.215.14"])
_INSIDE = Gate(resolve=lambda *_: ["10.0.0.5"])


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c 'touch /tmp/owned'", "fd::17", "git://example.org/x", "ftp://example.org/x", "--upload-pack=touch x",
        "-x", "relative/path", "http://", "https://exa mple.org/x", "https://example.org\\@10.0.0.1/x",
        "https://10.0.0.1#@example.org/x", "https://%31%30.0.0.1/x", "https://user:secret@example.org/x",
        "ssh://-oProxyCommand=x/y", "ssh://a@-b/y", "-oProxyCommand=x@host:path", "git@host:-path", "https://example.org:x/y",
        "file://host/share", "example.org.:path.", "https://example.org./x",
    ],
)  # fmt: skip
def test_addresses_that_git_could_misread_are_refused(url: str) -> None:
    with pytest.raises(Invalid):
        gitcommand.judge(url, _PUBLIC)


@pytest.mark.parametrize(
    "url",
    [
        "https://intranet.example/x.git",
        "http://intranet.example/x",
        "ssh://git@intranet.example/x",
        "git@intranet.example:x",
    ],
)
def test_a_machine_inside_is_refused(url: str) -> None:
    with pytest.raises(Refused, match=r"leads to 10\.0\.0\.5"):
        gitcommand.judge(url, _INSIDE)


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/x", "http://[::1]/x", "http://2130706433/x", "https://169.254.169.254/x"]
)
def test_an_address_inside_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        gitcommand.judge(url, _PUBLIC)


def test_git_is_held_to_the_address_that_was_judged() -> None:
    remote = gitcommand.judge("https://Example.org/x.git", _PUBLIC)
    assert remote.options == ("-c", "http.curloptResolve=example.org:443:93.184.215.14")
    remote = gitcommand.judge("http://example.org:8080/x", Gate(resolve=lambda *_: ["2606:4700::1"]))
    assert remote.options == ("-c", "http.curloptResolve=example.org:8080:[2606:4700::1]")
    for url in ("git@example.org:x", "ssh://git@example.org/x"):
        command = gitcommand.judge(url, _PUBLIC).environment["GIT_SSH_COMMAND"]
        assert "-o BatchMode=yes" in command
        assert "-o HostName=93.184.215.14 -o HostKeyAlias=example.org " in command
    command = gitcommand.judge("ssh://git@example.org:2222/x", _PUBLIC).environment["GIT_SSH_COMMAND"]
    assert "HostKeyAlias=[example.org]:2222 " in command


def test_a_fetch_takes_one_commit_and_runs_nothing_of_others() -> None:
    remote = gitcommand.judge("https://example.org/x.git", _PUBLIC)
    command = gitcommand.fetch(Path("/mirror"), remote, "refs/heads/main", "refs/groundwork/1")
    assert command[-3:] == ["--end-of-options", "https://example.org/x.git", "+refs/heads/main:refs/groundwork/1"]
    assert {"--depth=1", "--no-tags", "--no-recurse-submodules", "http.followRedirects=false"} <= set(command)
    assert "core.hooksPath=/dev/null" in command


def test_the_environment_asks_nothing_and_points_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("GIT_SSH_COMMAND", "touch /tmp/owned")
    environment = gitcommand.environment({})
    assert environment["GIT_TERMINAL_PROMPT"] == "0"
    assert environment["GIT_ALLOW_PROTOCOL"] == "file:http:https:ssh"
    assert not {"GIT_DIR", "GIT_SSH_COMMAND"} & set(environment)


@pytest.mark.parametrize(
    "branch",
    [
        "-x",
        "a..b",
        "a b",
        "a~1",
        "a^",
        "a:b",
        "a?",
        "a*",
        "a[",
        "a\\b",
        "a//b",
        "a/",
        "a.",
        "a.lock",
        ".a",
        "@",
        "a@{1}",
        "HEAD",
    ],
)
def test_what_is_no_branch_is_refused(branch: str) -> None:
    with pytest.raises(ValueError):
        GitConfig(url="https://example.org/x", branch=branch)


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        ("fatal: couldn't find remote ref refs/heads/x", NotFound, "no such branch"),
        (
            "remote: nope\nfatal: unable to access 'https://h/x/': The requested URL returned error: 301",
            Invalid,
            "has moved",
        ),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", Refused, "asks for a login"),
        ("fatal: transport 'ext' not allowed", Refused, "https, ssh or a path"),
        ("fatal: '/x' does not appear to be a git repository", NotFound, "no repository at this address"),
        ("fatal: unable to access 'https://h/': Could not resolve host: h", Unavailable, "Could not resolve host"),
        ("", Unavailable, "try again later"),
    ],
)
def test_what_git_says_becomes_what_to_do(said: str, kind: type[GroundworkError], told: str) -> None:
    with pytest.raises(kind, match=told):
        raise gitcommand.explained(said)


def test_a_password_in_what_git_says_is_not_repeated() -> None:
    assert "secret" not in str(gitcommand.explained("fatal: unable to access 'https://user:secret@h/x/'"))
