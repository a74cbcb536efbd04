"""The output of `bo diagnose` for people."""

from rich.console import Group, RenderableType

from bo_client.cli.console import Text
from bo_client.cli.layout import Hanging
from bo_client.diagnosis import StudyDiagnosis
from bo_client.diagnosis_words import in_brief, study_findings
from bo_client.models import StudyInfo, Trial


def study_text(study: StudyInfo, diagnosis: StudyDiagnosis, best: Trial | None) -> RenderableType:
    """Return the diagnosis for a terminal."""
    lines: list[RenderableType] = [Text(in_brief(study, diagnosis), style="bold")]
    for findings in study_findings(diagnosis, best):
        lines += [Text(findings.title, style="bold"), *(Hanging("  ", Text(line)) for line in findings.lines)]
    return Group(*lines)
