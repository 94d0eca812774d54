"""`scripts/drill`: runs the drill that is named."""

import argparse
import importlib
import json
import pkgutil
import sys
from types import ModuleType
from typing import Any, cast

import drills


def main() -> int:
    """Runs a drill and prints what came of it; 1 when something did not go as it must."""
    modules = {name.replace("_", "-"): importlib.import_module(f"drills.{name}") for name in _names()}
    parser = argparse.ArgumentParser(prog="scripts/drill", description="Rehearses what seldom happens.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    named = parser.add_subparsers(dest="drill", required=True, metavar="DRILL")
    for name, module in modules.items():
        said = _summary(module)
        sub = named.add_parser(name, help=said, description=said)
        sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
        module.add_options(sub)
    options = parser.parse_args()
    result = modules[options.drill].run(options)
    _print(result, options.json)
    return 1 if result.problems else 0


def _names() -> list[str]:
    return [each.name for each in pkgutil.iter_modules(drills.__path__) if not each.name.startswith("_")]


def _summary(module: ModuleType) -> str:
    return (module.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def _print(result: drills.Result, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"figures": result.figures, "problems": result.problems}, indent=2))
        return
    for key, value in result.figures.items():
        if isinstance(value, dict):
            print(f"{key}:")
            for name, said in cast("dict[str, Any]", value).items():
                print(f"  {name}: {said}")
        else:
            print(f"{key:28} {value}")
    for problem in result.problems:
        print(f"PROBLEM: {problem}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
