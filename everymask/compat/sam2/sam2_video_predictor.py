"""``sam2.sam2_video_predictor``: see ``everymask/compat/sam2_video.py``."""

from everymask.compat.sam2_video import SAM2VideoPredictor

__all__ = ["SAM2VideoPredictor"]
