"""Which backend keeps the studies is decided by their address: nothing outside storage/ asks for a backend's type."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
STORAGE = ROOT / "bo_service" / "storage"
PACKAGES = ("bo_service", "objectives", "clients/python")


def questions(tree: ast.Module) -> Iterator[str]:
    """Yield the type tests of names from bo_service.storage, and the looks at SQLAlchemy's dialect."""
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bo_service.storage")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "type"):
            used = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
            if used & imported:
                yield ast.unparse(node)
        if isinstance(node, ast.MatchClass) and ast.unparse(node.cls) in imported:
            yield ast.unparse(node.cls)
        if isinstance(node, ast.Attribute) and node.attr == "dialect":
            yield ast.unparse(node)


def test_no_module_outside_storage_asks_which_backend_it_has() -> None:
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if STORAGE not in path.parents]
    assert len(sources) > 100
    asked = {str(p.relative_to(ROOT)): found for p in sources if (found := list(questions(ast.parse(p.read_text()))))}
    assert asked == {}


def test_the_search_finds_such_questions() -> None:
    program = (
        "from bo_service.storage.sqlite import SqliteStore as S\n"
        "isinstance(store, S)\nconnection.dialect.name\nmatch store:\n    case S():\n        pass\n"
    )
    assert len(list(questions(ast.parse(program)))) == 3


def test_inside_storage_the_dialects_name_is_read_in_migrations_alone() -> None:
    readers = [path for path in STORAGE.rglob("*.py") if "dialect.name" in path.read_text()]
    assert {path.relative_to(STORAGE).parts[0] for path in readers} <= {"migrations"}
