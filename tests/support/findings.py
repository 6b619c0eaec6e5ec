"""What the doctor says of a damaged folder."""

from reanchor.doctor.diagnose import diagnose


def only(card, root, **more):
    findings = diagnose(card, root, **more).findings
    assert len(findings) == 1, findings
    return findings[0].what, findings[0].mend
