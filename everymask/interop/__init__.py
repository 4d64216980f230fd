"""Masks as the objects of other libraries, and back: one file a library, imported only when asked for."""
