"""The commands `bo study export` and `bo study import`."""

from pathlib import Path

import click

from bo_client.cli.arguments import pass_client, study_argument
from bo_client.cli.records import as_csv, as_json, study_record, trial_record
from bo_client.client import Client

FORMATS = ("csv", "json")


@click.command()
@study_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Format; json includes learning curves.  [default: by the ending of the file]",
)
@click.option(
    "-o",
    "--output",
    default="-",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="Output file, such as mine.csv or mine.json; by default standard output, where control characters are "
    "escaped.",
)
@pass_client
def export(client: Client, study_id: str, form: str | None, output: str) -> None:
    """Write a study and its trials into a CSV or JSON file."""
    chosen = form or _ending(output)
    if chosen is None:
        where = f"the ending of {output} is neither .csv nor .json" if output != "-" else "there is no output file"
        raise click.UsageError(f"{where}; give --format csv or --format json")
    study = client.study(study_id)
    trials = list(study.trials(full=chosen == "json"))
    if chosen == "csv":
        text = as_csv(study.definition, trials)
    else:
        records = [trial_record(trial, study.definition) for trial in trials]
        text = as_json({"study": study_record(study.definition), "trials": records}) + "\n"
    if output == "-":
        click.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output}: cannot be written: {error.strerror}") from None


@click.command("import")
@study_argument
@click.argument("path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMATS), help="Format.  [default: by the ending of the file]")
@pass_client
def import_command(client: Client, study_id: str, path: Path, form: str | None) -> None:
    """Add the results in a file to a study.

    A JSON file of `bo study export` has the study, too, which is created if it does not exist. A CSV file needs an
    existing study, and a column for each parameter and metric; other columns are ignored, and so are rows without a
    result. Results, also of stopped trials, and failures that the parameters caused, are added, from JSON with their
    learning curves and notes. Trials without a result, artifacts, and when trials were evaluated are left out;
    `bo-service export-study` writes a file with all of it. A file that is imported again within a week adds only the
    rows that are new.
    """
    from bo_client.study_import import add_results, read_csv, read_json

    chosen = form or _ending(str(path))
    if chosen is None:
        raise click.UsageError(f"the ending of {path} is neither .csv nor .json; give --format csv or --format json")
    if chosen == "json":
        file = read_json(path)
        study = file.create(client, study_id)
        results, left_out = file.results, file.left_out
    else:
        study = client.study(study_id)
        results, left_out = read_csv(path, study.definition)
    added = add_results(study, results)
    click.echo(f"{study.name}: {added} {'result' if added == 1 else 'results'} imported{without_result(left_out)}")


def without_result(left_out: int) -> str:
    """Return the end of the line that says how many trials of a study another one did not get."""
    return f"; {left_out} {'trial' if left_out == 1 else 'trials'} without a result left out" if left_out else ""


def _ending(path: str) -> str | None:
    ending = Path(path).suffix.lower().removeprefix(".")
    return ending if ending in FORMATS else None
