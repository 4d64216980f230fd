"""``sam2.sam2_video_predictor``: see ``everymask/compat/sam2_video.py``."""

from everymask.compat.sam2_video import SAM2VideoPredictor, SAM2VideoPredictorVOS

__all__ = ["SAM2VideoPredictor", "SAM2VideoPredictorVOS"]
