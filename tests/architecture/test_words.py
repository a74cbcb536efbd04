"""The words of the sources: one name for one class, docstrings that begin with a sentence, texts without metaphors."""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("bo_service", "objectives", "clients/python")

BANNED = re.compile(
    r"\b(ails?|ailing|ailments?|some(?:body|one)|nobody|everybody|whoever|(?:is|are|was|were) told|stands? for"
    r"|go(?:es)? home|at home|what is known|affairs?|wastes?|wasted|doors?|of ours|meanwhile)\b",
    re.IGNORECASE,
)
"""Words that STYLE rules out of texts for users, since they are metaphors or leave the subject open."""

IMPERATIVES = frozenset(
    re.findall(
        r"\w+",
        """
        Abort Accept Acquire Add Admit Allocate Analyze Answer Append Apply Ask Assert Assign Attach Authenticate
        Authorize Await Begin Bind Bring Build Cache Calculate Call Cancel Change Check Choose Clear Climb Close
        Coerce Collect Combine Commit Compare Compile Complete Compress Compute Concatenate Condition Configure
        Connect Consume Continue Convert Copy Count Create Declare Decode Decrease Define Delete Derive Describe
        Detach Detect Determine Diagnose Disable Discard Disconnect Divide Do Draw Drop Enable Encode End Enforce
        Enqueue Ensure Enter Enumerate Escape Estimate Evaluate Exit Expand Export Extend Extract Factorize Fail
        Fetch Fill Filter Find Finish Fit Flush Follow Format Forward Generate Get Give Group Guard Hand Handle
        Hash Hold Ignore Import Include Increase Index Inform Initialize Insert Inspect Install Interrupt
        Invalidate Iterate Join Keep Kill Launch Leave Let Limit Link List Listen Load Lock Log Look Make Map
        Mark Mask Match Maximize Measure Merge Minimize Mirror Mix Move Multiply Normalize Note Notify Observe
        Open Order Override Pack Parse Pass Pause Perform Pickle Plan Pop Predict Prepare Preprocess Print Probe
        Process Project Propose Prove Prune Publish Push Put Query Queue Raise Read Rebuild Receive Reconnect
        Record Reduce Refine Refresh Refuse Register Reject Release Reload Remember Remove Rename Render Renew Repeat
        Replace Replay Report Request Require Reseed Reset Resize Resolve Respond Restart Restore Resume Retry
        Return Reuse Revoke Rewrite Roll Round Run Sample Save Scale Scan Schedule Search Select Send Separate
        Serialize Serve Set Show Shut Sign Simplify Simulate Skip Sleep Solve Sort Split Start Stop Store Submit
        Subtract Suggest Sum Summarize Swap Sync Take Terminate Test Track Train Transform Translate Truncate Try
        Turn Undo Unlock Unpack Update Upgrade Use Validate Verify Visit Wait Wake Walk Warn Warp Watch Weight Work
        Wrap Write Yield Zip
        """,
    )
)
"""Verbs with which docstrings of functions begin."""
LOG_METHODS = frozenset(("debug", "info", "warning", "error", "exception", "critical"))
ERROR_CALLS = frozenset(("Violation", "of", "fail", "abort"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def trees() -> dict[str, ast.Module]:
    """Each module of the sources by its path."""
    files = (path for source in SOURCES for path in sorted((ROOT / source).rglob("*.py")))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in files}


def decorators(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """The last names of a function's decorators, such as `command` of `@main.command("show")`."""
    called = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
    return {each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in called}


@cache
def factories() -> frozenset[str]:
    """Functions that make the bundled objectives: the first line of their docstring describes the objective."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return frozenset(value.rpartition(":")[2] for value in project["entry-points"]["bo_objectives"].values())


def is_noun(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a docstring may be a noun phrase, as of a property, a group of commands or an objective."""
    return node.name in factories() or any("property" in name or name == "group" for name in decorators(node))


def fragments(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Docstrings of functions that do not begin with an imperative."""
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS) and not is_noun(node):
            text = ast.get_docstring(node)
            if text is not None and re.split(r"[\s,:;.]", text, maxsplit=1)[0] not in IMPERATIVES:
                yield node.lineno, text.partition("\n")[0]


def ragged_lines(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """First lines of docstrings that do not begin with a capital letter or code, or do not end with a period."""
    for node in ast.walk(tree):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Module)):
            first = (ast.get_docstring(node) or "").partition("\n")[0]
            if first and not re.match(r"[A-Z`].*\.`?$", first):
                yield getattr(node, "lineno", 1), first


def user_texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Help texts of commands and options, messages of errors and of logs."""
    for node in ast.walk(tree):
        parts: list[ast.AST] = []
        if isinstance(node, ast.Raise) and node.exc is not None:
            parts = [node.exc]
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            parts = [each.value for each in node.keywords if each.arg in ("help", "short_help", "epilog")]
            parts += node.args[:1] if name in LOG_METHODS else node.args if name in ERROR_CALLS else []
        elif isinstance(node, FUNCTIONS) and decorators(node) & {"command", "group"}:
            yield node.lineno, ast.get_docstring(node) or ""
        for part in parts:
            for each in ast.walk(part):
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield each.lineno, each.value


def banned_texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Texts for users with a banned word."""
    yield from ((line, text) for line, text in user_texts(tree) if BANNED.search(text))


RULES = (fragments, ragged_lines, banned_texts)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_texts_are_sentences_in_plain_words(rule: Callable[[ast.Module], Iterator[tuple[int, str]]]) -> None:
    hits = [f"{path}:{line}: {text}" for path, tree in trees().items() for line, text in rule(tree)]
    assert hits == []


def documented_arguments(node: ast.AST) -> list[str]:
    """The names in a docstring's section Args."""
    text = ast.get_docstring(node) if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else None
    section = re.search(r"^Args:\n((?:    .*\n?|\n)+)", text or "", re.MULTILINE)
    lines = re.findall(r"^    (\*{0,2}[\w, *]+):", section[1], re.MULTILINE) if section else []
    return [name.strip("* ") for line in lines for name in line.split(",")]


def arguments(node: ast.AST) -> set[str]:
    """The names of a function's arguments; of a class those of its `__init__` and its annotated fields."""
    if isinstance(node, ast.ClassDef):
        fields = {each.target.id for each in node.body if is_field(each)}  # type: ignore[attr-defined]
        made = (arguments(each) for each in node.body if isinstance(each, FUNCTIONS) and each.name == "__init__")
        return fields.union(*made)
    assert isinstance(node, FUNCTIONS)
    given = node.args
    rest = [each for each in (given.vararg, given.kwarg) if each is not None]
    return {each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs, *rest)}


def is_field(node: ast.stmt) -> bool:
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)


def test_documented_arguments_exist() -> None:
    """A renamed argument is renamed in the docstring too."""
    wrong = []
    for path, tree in trees().items():
        for node in ast.walk(tree):
            names = documented_arguments(node)
            wrong += [f"{path}:{node.lineno}: {name}" for name in names if name not in arguments(node)]  # type: ignore[attr-defined]
    assert wrong == []


def test_no_two_classes_have_one_name() -> None:
    """But for one on either side of the wire, where both are the same thing of the contract."""
    places: dict[str, list[str]] = defaultdict(list)
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path)
    repeated = {name: paths for name, paths in places.items() if len(paths) > 1 and not is_shared(name, paths)}
    assert repeated == {}


def is_shared(name: str, paths: list[str]) -> bool:
    """Whether a name is public and has one class in the server and one in the client."""
    server = [path for path in paths if path.startswith("bo_service/")]
    client = [path for path in paths if path.startswith("clients/python/bo_client/")]
    return (len(server), len(client), len(paths)) == (1, 1, 2) and not name.startswith("_")
