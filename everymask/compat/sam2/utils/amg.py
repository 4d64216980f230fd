"""``sam2.utils.amg``."""

from everymask.compat.amg import *  # noqa: F403
