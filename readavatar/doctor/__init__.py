"""The doctor: checks before a training whether a prepared or fitted clip is suitable, and says what to do if not."""

from readavatar.doctor.checks import Check, Status
from readavatar.doctor.examination import ClipExamination, Examination, correct_offset, examine
from readavatar.doctor.report import print_examination, write_examination_json, write_examination_page

__all__ = [
    "Check",
    "ClipExamination",
    "Examination",
    "Status",
    "correct_offset",
    "examine",
    "print_examination",
    "write_examination_json",
    "write_examination_page",
]
