"""Masks from words: what is asked for in a photo, found and outlined."""
