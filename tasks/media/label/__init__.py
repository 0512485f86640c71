"""The visible label: a text in the upper right corner of every frame."""

from tasks.media.label.draw import Label, draw_label, label_problem
from tasks.media.label.texts import label_text

__all__ = ["Label", "draw_label", "label_problem", "label_text"]
