"""What `bo diagnose` prints for people."""

from rich.console import Group, RenderableType
from rich.text import Text

from bo_client.diagnosis import StudyDiagnosis
from bo_client.diagnosis_words import in_brief, study_findings
from bo_client.values import StudyInfo, Trial


def study_text(study: StudyInfo, found: StudyDiagnosis, best: Trial | None) -> RenderableType:
    """Return the diagnosis for a terminal."""
    lines = [Text(in_brief(study, found), style="bold")]
    for findings in study_findings(found, best):
        lines += [Text(findings.title, style="bold"), *(Text(f"  {line}") for line in findings.lines)]
    return Group(*lines)
