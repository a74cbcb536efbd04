"""What the site has beyond docs/: pages made from other files, and links that leave the site turned into names."""

import re
from pathlib import Path
from typing import Any

import contract_page  # mkdocs looks beside a hook first
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MOVED = {
    "../benchmarks/results/README.md": "reference/benchmarks.md",
    "../benchmarks/results/load.md": "reference/load.md",
}
OUTSIDE = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./|examples/)[^)#\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages."""
    made = {
        "reference/benchmarks.md": without_links((RESULTS / "README.md").read_text()),
        "reference/load.md": without_links((RESULTS / "load.md").read_text()),
        "reference/decisions.md": decisions(),
        "reference/contract.md": contract_page.page(),
    }
    for decision in [file for file in files if file.src_uri.startswith("decisions/")]:
        files.remove(decision)  # they are on one page
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    files.append(File.generated(config, "reference/regret.png", content=(RESULTS / "regret.png").read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links to files of the repository become their names; those to pages that were made lead there."""

    def linked(found: re.Match[str]) -> str:
        text, target = found[1], found[2]
        if page.file.src_uri.startswith("reference/"):
            return found[0]
        if target in MOVED:
            return f"[{text}]({MOVED[target]})"
        return f"{text} (`{target.removeprefix('../')}`)" if target.strip("./") not in text else text

    return OUTSIDE.sub(linked, markdown)


def without_links(text: str) -> str:
    """Links that lead beside the file are named."""
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)[^)]+\)", r"\1", text)


def decisions() -> str:
    """All of them, each under its name."""
    told = ["# Decisions\n\nEach is a sentence: what was faced, what was chosen over what, and what that costs.\n"]
    for path in sorted((ROOT / "docs" / "decisions").glob("*.md")):
        number, _, name = path.stem.partition("-")
        told.append(f"## {number} {name.replace('-', ' ')}\n\n{without_links(path.read_text())}")
    return "\n".join(told)
