"""``sam2.modeling.backbones.utils``."""

from everymask.nn.encoders.windows import window_partition, window_unpartition

__all__ = ["window_partition", "window_unpartition"]
