"""The shape of the code, as docs/architecture.md promises it: what a reader may take for granted in every file.

Import directions are kept by import-linter (`.importlinter`); here is what it cannot see.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_SOURCE = _ROOT / "src" / "groundwork"
_MODULES = sorted(_SOURCE.rglob("*.py"))
_TESTS = sorted((_ROOT / "tests").rglob("test_*.py"))

_LONGEST_FILE = 400
_SLOW_TO_IMPORT = (
    "alembic",
    "anthropic",
    "fastapi",
    "genai_prices",
    "kreuzberg",
    "limits",
    "numpy",
    "openai",
    "openvino",
    "prometheus_client",
    "psycopg",
    "pydantic_ai",
    "redis",
    "tantivy",
    "uvicorn",
)

_SQL = re.compile(
    r"^\s*(--.*\n\s*)*("
    r"SELECT\s+\S|INSERT\s+INTO\s|UPDATE\s+\S+\s+(AS\s+\S+\s+)?SET\s|DELETE\s+FROM\s|WITH\s+\S+\s+AS\s+(NOT\s+|MATERIALIZED\s+)*\(|"
    r"(CREATE|ALTER|DROP)\s+(OR\s+REPLACE\s+|UNIQUE\s+|UNLOGGED\s+|TEMP\s+|TEMPORARY\s+)*"
    r"(TABLE|INDEX|TYPE|SCHEMA|EXTENSION|FUNCTION|TRIGGER|VIEW|MATERIALIZED|SEQUENCE|DATABASE|ROLE)\s|"
    r"TRUNCATE\s+\S|COPY\s+\S+\s*(\(.*\)\s*)?(FROM|TO)\s+STD|MERGE\s+INTO\s|LOCK\s+TABLE\s)",
    re.IGNORECASE | re.DOTALL,
)


def _name(path: Path) -> str:
    return str(path.relative_to(_ROOT))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=_name)


def _strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def _is_under(path: Path, *places: str) -> bool:
    return any(path.is_relative_to(_SOURCE / place) for place in places)


@_each(_MODULES)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= _LONGEST_FILE, f"{lines} lines: split it by what changes together"


@_each([path for path in _MODULES if path.name != "records.py" and not _is_under(path, "store", "vectors/pgvector.py")])
def test_sql_is_in_records_only(path: Path) -> None:
    stray = [f"line {line}: {text.strip()[:60]!r}" for line, text in _strings(_tree(path)) if _SQL.match(text)]
    assert not stray, f"SQL belongs in the feature's records.py: {stray}"


@pytest.mark.parametrize(
    ("text", "is_sql"),
    [
        ("SELECT id FROM chunks", True),
        ("  insert into chunks (id) values (%s)", True),
        ("-- the newest\nSELECT 1", True),
        ("WITH live AS (SELECT 1) SELECT * FROM live", True),
        ("UPDATE documents SET state = 'live'", True),
        ("COPY chunks (id, text) FROM STDIN (FORMAT BINARY)", True),
        ("create unique index on chunks (id)", True),
        ("Select a collection first.", True),  # prose that reads like SQL: say "Choose"
        ("Update the settings and start again.", False),
        ("Create a collection first.", False),
        ("With no settings at all, it starts.", False),
        ("Delete from the index what the database no longer has.", True),
    ],
)
def test_what_counts_as_sql(text: str, is_sql: bool) -> None:
    assert bool(_SQL.match(text)) is is_sql


@_each([path for path in _MODULES if not _is_under(path, "store", "lexical/tantivy.py")])
def test_transactions_end_in_the_store_only(path: Path) -> None:
    calls = [
        node.lineno
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"commit", "rollback"}
    ]
    assert not calls, f"lines {calls}: use the store's transaction, which commits when its block ends"


@_each([path for path in _MODULES if path.name == "__init__.py"])
def test_a_folder_states_its_rule_and_holds_something(path: Path) -> None:
    assert ast.get_docstring(_tree(path)), "a package's docstring says what it is for and what may not happen in it"
    others = [other for other in path.parent.rglob("*.py") if other != path]
    assert others or len(_tree(path).body) > 1, "an empty package: make it when there is something to put in it"


def test_every_folder_with_code_is_a_package() -> None:
    without = {path.parent for path in _MODULES if not (path.parent / "__init__.py").exists()}
    assert not without, f"import-linter does not see folders without __init__.py: {sorted(map(_name, without))}"


@_each(_MODULES)
def test_our_own_code_is_imported_at_the_top(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    hidden = [
        node.lineno
        for function in ast.walk(_tree(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if _imports_groundwork(node) and "# start-up time" not in lines[node.lineno - 1]
    ]
    assert not hidden, f"lines {hidden}: move it to the top, or end the line with `# start-up time` where that is why"


def _imports_groundwork(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] == "groundwork" for alias in node.names)
    return isinstance(node, ast.ImportFrom) and (node.level > 0 or (node.module or "").split(".")[0] == "groundwork")


def test_the_command_line_starts_without_the_heavy_parts() -> None:
    program = "import sys, groundwork.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = {module.split(".")[0] for module in done.stdout.split()}
    assert loaded.isdisjoint(_SLOW_TO_IMPORT), f"loaded at start: {sorted(loaded & set(_SLOW_TO_IMPORT))}"


@_each(_TESTS)
def test_every_test_checks_something(path: Path) -> None:
    tests = [
        node
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert tests, "a test file without tests"
    idle = [test.name for test in tests if not any(_checks(node) for node in ast.walk(test))]
    assert not idle, f"these pass whatever the code does: {idle}"


_CHECKING_CALLS = {"raises", "warns", "fail", "expect", "call_and_validate", "validate_response"}


def _checks(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in _CHECKING_CALLS or name.lstrip("_").startswith(("assert_", "check_"))
