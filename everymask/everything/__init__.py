"""Everything mode: every object of a photo, without a prompt.

Read ``generate.py`` first; it names the steps in their order.
"""
