"""The reference of `bo_client`: a directive for each public name, which mkdocstrings fills from the docstrings."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "bo_client"
SOURCE = Path(__file__).parents[1] / "clients" / "python" / PACKAGE
HEAD = """# Python

Every public name of `bo_client`, from its docstrings. `import bo_client` gives the names of the first sections. The
sections below, named `bo_client.…`, are modules that you import by name. The last section has what an objective of your
own implements. The [glossary](../glossary.md) explains the terms.
"""
TITLES = {
    "client": "Client",
    "local_client": "Without a server",
    "study": "Study",
    "study_runs": "Study: run trials",
    "study_additions": "Study: add trials",
    "study_shortcuts": "Study, by the names of other tools",
    "trial_pages": "Trials of a study",
    "artifacts": "Files of trials",
    "running": "Running trials",
    "space": "Search space",
    "parameters": "Parameters",
    "constraints": "Constraints",
    "settings": "Settings",
    "models": "Values",
    "insight": "Analyses",
    "tokens": "Tokens",
    "errors": "Errors",
}
"""The heading of each module that defines names of `bo_client`, in the order of the page."""
INHERITING = {"constraints"}
"""Modules whose classes have members of a base class that is not public."""
MODULES: dict[str, list[str] | None] = {
    "specfile": ["load", "parse", "StudyFile", "Base"],
    "failures": ["failure_of", "failure_in", "described"],
    "diagnosis": ["diagnose", "StudyDiagnosis", "AtBound", "LowValueRegion"],
    "report": None,
    "figures": None,
    "testing": None,
    "integrations.optuna": ["BoSampler", "BoPruner"],
    "integrations.keras_tuner": ["BoTuner", "BoOracle"],
    "integrations.ray_tune": ["BoSearch"],
    "integrations.keras": ["BoCallback"],
    "integrations.lightning": ["LightningCallback", "BoCallback"],
    "integrations.transformers": ["TransformersCallback", "BoCallback"],
    "integrations.xgboost": ["XGBoostCallback", "BoCallback"],
    "integrations.lightgbm": ["LightGBMCallback", "BoCallback"],
    "integrations.scikit_learn": ["BOSearchCV"],
    "integrations.exporters": ["follow", "following"],
    "integrations.mlflow": ["MlflowLog"],
    "integrations.tensorboard": ["TensorBoardLog"],
    "integrations.wandb": ["WandbLog"],
}
"""The public modules of `bo_client`, each with its public names; None stands for those of its `__all__`."""
OBJECTIVES = ("bo_objectives.base", "bo_objectives.testing")


def page() -> str:
    """Return the page in Markdown."""
    return "\n\n".join([HEAD, *parts()]) + "\n"


def parts() -> Iterator[str]:
    """Yield the headings and directives in their order."""
    package = exported("")
    if unlisted := set(package.values()) - set(TITLES):
        raise ValueError(f"give these modules a heading in TITLES: {sorted(unlisted)}")
    for module, title in TITLES.items():
        yield f"## {title}"
        options = {"inherited_members": True} if module in INHERITING else {}
        yield from (directive(f"{PACKAGE}.{name}", **options) for name, origin in package.items() if origin == module)
    for module, names in MODULES.items():
        yield f"## {PACKAGE}.{module} {{ #{PACKAGE}.{module}.module }}"
        yield directive(f"{PACKAGE}.{module}", show_root_heading=False, members=False)
        yield from (directive(f"{PACKAGE}.{module}.{name}") for name in names or exported(module))
    yield "## Objectives"
    yield from (directive(module) for module in OBJECTIVES)


def exported(module: str) -> dict[str, str]:
    """Return the names in `__all__` of a package, each with the module that the package imports it from.

    Args:
        module: a package within `bo_client`; empty for `bo_client` itself.
    """
    prefix = f"{PACKAGE}.{module}." if module else f"{PACKAGE}."
    tree = ast.parse((SOURCE / module.replace(".", "/") / "__init__.py").read_text("utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    origins = {
        name.asname or name.name: str(node.module).removeprefix(prefix) for node in imports for name in node.names
    }
    (names,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return {name: origins.get(name, module) for name in names}


def directive(name: str, **options: bool) -> str:
    """Return mkdocstrings' directive for a module, class, function or value."""
    lines = [f"        {key}: {str(value).lower()}" for key, value in {"show_root_heading": True, **options}.items()]
    return "\n".join([f"::: {name}", "    options:", "        heading_level: 3", *lines])
