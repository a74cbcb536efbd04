"""The site beyond docs/: pages generated from other files, and links that leave the site turned into names."""

import re
from pathlib import Path
from typing import Any

import client_page  # mkdocs looks beside a hook first
import contract_page
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MOVED = {
    "../benchmarks/results/README.md": "reference/benchmarks.md",
    "../benchmarks/results/load.md": "reference/load.md",
    "decisions/README.md": "reference/decisions.md",
}
OUTSIDE = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./|examples/|decisions/)[^)#\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages, and remove the decisions, which are on one page."""
    generated = {
        "reference/benchmarks.md": without_links((RESULTS / "README.md").read_text()),
        "reference/load.md": without_links((RESULTS / "load.md").read_text()),
        "reference/decisions.md": decisions(),
        "reference/contract.md": contract_page.page(),
        "reference/python.md": client_page.page(),
    }
    for decision in [file for file in files if file.src_uri.startswith("decisions/")]:
        files.remove(decision)
    for name, text in generated.items():
        files.append(File.generated(config, name, content=text))
    files.append(File.generated(config, "reference/regret.png", content=(RESULTS / "regret.png").read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links to files of the repository into their names, and those to generated pages into links there."""

    def replacement(link: re.Match[str]) -> str:
        text, target = link[1], link[2]
        if page.file.src_uri.startswith("reference/"):
            return link[0]
        if target in MOVED:
            return f"[{text}]({MOVED[target]})"
        return f"{text} (`{target.removeprefix('../')}`)" if target.strip("./") not in text else text

    return OUTSIDE.sub(replacement, markdown)


def without_links(text: str) -> str:
    """Replace links within the repository by their texts."""
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)[^)]+\)", r"\1", text)


def decisions() -> str:
    """Return the index by topic, and below it every record under an anchor of its own."""
    folder = ROOT / "docs" / "decisions"
    index = re.sub(r"\]\((\d{4})-[^)]+\.md\)", r"](#d\1)", (folder / "README.md").read_text())
    records = [path.read_text() for path in sorted(folder.glob("[0-9]*.md"))]
    anchored = [re.sub(r"^# (\d{4}): (.+)", r"### \1: \2 { #d\1 }", without_links(text)) for text in records]
    return "\n".join([index, "## All records\n", *anchored])
