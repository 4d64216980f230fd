"""``segment_anything.utils.amg``."""

from everymask.compat.amg import *  # noqa: F403
