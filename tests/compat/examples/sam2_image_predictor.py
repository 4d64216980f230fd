"""The steps of SAM 2's image predictor example: clicks, a mask fed back, boxes, batches."""

import sys

import numpy as np
import torch
from PIL import Image
from sam2.build_sam import build_sam2
from sam2.sam2_image_predictor import SAM2ImagePredictor

sam2_checkpoint, image_path, output = sys.argv[1:]
found = {}

image = Image.open(image_path)
image = np.array(image.convert("RGB"))
height, width = image.shape[:2]

model_cfg = "configs/sam2.1/sam2.1_hiera_t.yaml"
sam2_model = build_sam2(model_cfg, sam2_checkpoint, device=torch.device("cpu"))
predictor = SAM2ImagePredictor(sam2_model)
predictor.set_image(image)

# one click, three masks, the best first
masks, scores, logits = predictor.predict(
    point_coords=np.array([[width // 3, height // 2]]), point_labels=np.array([1]), multimask_output=True
)
sorted_ind = np.argsort(scores)[::-1]
masks, scores, logits = masks[sorted_ind], scores[sorted_ind], logits[sorted_ind]
found["click"] = masks

# more clicks, and the best of the earlier masks
masks, _, _ = predictor.predict(
    point_coords=np.array([[width // 3, height // 2], [width // 2, height // 3]]),
    point_labels=np.array([1, 0]),
    mask_input=logits[np.argmax(scores), :, :][None, :, :],
    multimask_output=False,
)
found["clicks and mask"] = masks

# several boxes at once
input_boxes = np.array([[width // 5, height // 5, width // 2, height // 2], [0, 0, width // 3, height - 1]])
masks, _, _ = predictor.predict(point_coords=None, point_labels=None, box=input_boxes, multimask_output=False)
found["boxes"] = masks

# several images
predictor.set_image_batch([image, np.ascontiguousarray(image[:, ::-1])])
masks_batch, scores_batch, _ = predictor.predict_batch(
    None, None, box_batch=[input_boxes, input_boxes], multimask_output=False
)
for index, masks in enumerate(masks_batch):
    found[f"batch {index}"] = masks

np.savez(output, **found)
