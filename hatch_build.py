"""The description of the package on a registry: README.md without what works in the repository alone.

Registries show neither relative links and pictures nor Mermaid. With an address under `Source` in project.urls they
become links to the files of the release; without one, links become their texts, and pictures are left out.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

DIAGRAM = re.compile(r"```mermaid\n.*?```\n\n?", re.DOTALL)
RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")


class Description(MetadataHookInterface):
    """Sets the field `readme`."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the description to the metadata."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        source = metadata.get("urls", {}).get("Source")
        metadata["readme"] = {"content-type": "text/markdown", "text": described(text, metadata["version"], source)}


def described(readme: str, version: str, source: str | None) -> str:
    """Return the README as registries can show it.

    Args:
        readme: text in Markdown.
        version: of the release, whose tag is `v` and the version.
        source: address of the repository; None if there is none.
    """

    def link(match: re.Match[str]) -> str:
        picture, text, path = match.groups()
        if source is None:
            return "" if picture else text
        return f"{picture}[{text}]({source.rstrip('/')}/{'raw' if picture else 'blob'}/v{version}/{path})"

    return re.sub(r"\n{3,}", "\n\n", RELATIVE.sub(link, DIAGRAM.sub("", readme)))
