"""Makes the plain manifests beside it out of the chart, for those who apply files: scripts/manifests."""

import sys
from pathlib import Path

import yaml
from helm_python import Chart

HERE = Path(__file__).parent
CHART = HERE.parent / "helm" / "bo-service"
HEAD = "# Made by scripts/manifests out of deploy/helm/bo-service and values.yaml: change those.\n"


def manifests() -> dict[Path, str]:
    """Each file, and what belongs in it."""
    values = yaml.safe_load((HERE / "values.yaml").read_text())
    with Chart.load(CHART) as chart:
        rendered = chart.render(values, name="bo-service", namespace="default")
    return {
        HERE / Path(name).name: f"{HEAD}{text.strip()}\n"
        for name, text in rendered.items()
        if name.endswith(".yaml") and text.strip()
    }


def differing(wanted: dict[Path, str]) -> list[Path]:
    """Files that are missing, or hold something else."""
    return [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]


if __name__ == "__main__":
    made = manifests()
    wrong = differing(made)
    if "--check" in sys.argv[1:] and wrong:
        sys.exit(f"not what the chart makes: {', '.join(path.name for path in wrong)}; run scripts/manifests")
    for path in wrong:
        path.write_text(made[path])
