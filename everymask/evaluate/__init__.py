"""Evaluation: click, box, everything and edge metrics on photos with masks (``everymask evaluate``)."""
