"""Before training, not after: whether a prepared or fitted clip will train, and what to do where it will not."""

from readavatar.doctor.checks import Check, Status
from readavatar.doctor.correction import correct_offset
from readavatar.doctor.examination import ClipExamination, Examination, examine
from readavatar.doctor.page import write_examination_page
from readavatar.doctor.terminal import print_examination, write_examination_json

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
