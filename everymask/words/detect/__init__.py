"""Detectors: from words to places in a photo. One file each, behind the protocol in ``protocol.py``."""
