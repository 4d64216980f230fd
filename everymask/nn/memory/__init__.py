"""The memory of SAM 2: what is kept of a frame, and how a later frame looks at it."""

from everymask.nn.memory.attention import MemoryAttention
from everymask.nn.memory.encoder import MemoryEncoder

__all__ = ["MemoryAttention", "MemoryEncoder"]
