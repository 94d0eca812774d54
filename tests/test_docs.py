"""The documents people rely on: links lead somewhere, decisions are complete, pins are what was asked for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from groundwork.cli.reference import pages

_ROOT = Path(__file__).parent.parent
_PAGES = sorted([_ROOT / "README.md", *(_ROOT / "docs").rglob("*.md"), *(_ROOT / "changes").glob("*.md")])
_DECISIONS = sorted((_ROOT / "docs" / "decisions").glob("[0-9]*.md"))
_PINS = sorted((_ROOT / "requirements").glob("*.txt"))

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def _name(path: Path) -> str:
    return str(path.relative_to(_ROOT))


def _prose(path: Path) -> str:
    return _FENCED.sub("", path.read_text(encoding="utf-8"))


def _anchors(path: Path) -> set[str]:
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(_prose(path)))
    return {heading.strip().replace(" ", "-") for heading in headings}


def _leads_nowhere(page: Path, target: str) -> bool:
    place, _, anchor = target.partition("#")
    path = (page.parent / place).resolve() if place else page
    if not path.exists():
        return True
    return bool(anchor) and path.suffix == ".md" and anchor not in _anchors(path)


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    targets = [target for target in _LINK.findall(_prose(page)) if "://" not in target and "mailto:" not in target]
    broken = [target for target in targets if _leads_nowhere(page, target)]
    assert not broken, f"dead links: {broken}"


@pytest.mark.parametrize("record", _DECISIONS, ids=_name)
def test_a_decision_record_is_complete(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert sections == ["Context", "Decision", "Consequences", "Check"]
    number = record.name.partition("-")[0]
    assert text.startswith(f"# {number}. "), "the title carries the number of the file"


def test_decision_numbers_follow_each_other() -> None:
    numbers = [int(record.name.partition("-")[0]) for record in _DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))


def test_scripts_named_in_the_readme_exist() -> None:
    named = set(re.findall(r"\bscripts/[a-z-]+", (_ROOT / "README.md").read_text(encoding="utf-8")))
    assert {"scripts/demo", "scripts/test"} <= named
    assert all((_ROOT / name).exists() for name in named), sorted(named)


@pytest.mark.parametrize("name", sorted(pages()))
def test_the_reference_is_what_the_code_says(name: str) -> None:
    written = (_ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == pages()[name], "run scripts/reference"


def test_every_part_of_the_house_is_in_the_architecture() -> None:
    text = (_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    source = _ROOT / "src" / "groundwork"
    parts = {path.stem for path in source.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    missing = [part for part in sorted(parts) if not part.startswith("__") and f"`{part}`" not in text]
    assert not missing, f"docs/architecture.md does not name {missing}"


def test_every_table_is_in_the_architecture() -> None:
    text = (_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    migrations = (_ROOT / "src" / "groundwork" / "store" / "migrations" / "versions").glob("[0-9]*.py")
    tables = {
        name for path in migrations for name in re.findall(r"CREATE TABLE (\w+)", path.read_text(encoding="utf-8"))
    }
    assert tables
    assert all(f"`{table}`" in text for table in tables), sorted(tables)


def test_a_note_of_a_change_has_a_kind() -> None:
    names = [path.name for path in (_ROOT / "changes").glob("*.md") if path.name != "README.md"]
    assert all(re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed|removed|upgrade)\.md", name) for name in names), names


def _pinned(path: Path) -> list[Requirement]:
    joined = path.read_text(encoding="utf-8").replace("\\\n", "")
    lines = (line.partition(" --hash")[0].strip() for line in joined.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("path", _PINS, ids=_name)
def test_pins_name_no_place_packages_come_from(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"https?://|file:|--(?:extra-)?index-url|--find-links", text)
    assert len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)) <= text.count("--hash=sha256:")


def test_pins_are_what_pyproject_asks_for() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]
    asked = {
        "runtime": project["project"]["dependencies"],
        "tools": groups["build"],
        "dev": [*project["project"]["dependencies"], *groups["build"], *groups["dev"]],
    }
    for name, requirements in asked.items():
        pins: dict[str, list[str]] = {}
        for pin in _pinned(_ROOT / "requirements" / f"{name}.txt"):
            pins.setdefault(canonicalize_name(pin.name), []).append(next(iter(pin.specifier)).version)
        for requirement in map(Requirement, requirements):
            versions = pins.get(canonicalize_name(requirement.name), [])
            assert versions, f"{requirement} is not in requirements/{name}.txt: run scripts/lock"
            assert all(map(requirement.specifier.contains, versions)), (
                f"{requirement}: pinned {versions}; run scripts/lock"
            )
