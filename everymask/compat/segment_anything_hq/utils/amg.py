"""``segment_anything_hq.utils.amg``."""

from everymask.compat.amg import *  # noqa: F403
