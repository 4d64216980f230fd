"""The steps of segment-anything's predictor example: clicks, a mask fed back, boxes, batches."""

import sys

import cv2
import numpy as np
import torch
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.utils.transforms import ResizeLongestSide

checkpoint, image_path, output = sys.argv[1:]
found = {}

image = cv2.imread(image_path)
image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
height, width = image.shape[:2]

sam = sam_model_registry["vit_b"](checkpoint=checkpoint)
sam.to(device="cpu")
predictor = SamPredictor(sam)
predictor.set_image(image)

# one click, three masks
input_point = np.array([[width // 3, height // 2]])
input_label = np.array([1])
masks, scores, logits = predictor.predict(
    point_coords=input_point, point_labels=input_label, multimask_output=True
)
found["click"] = masks

# more clicks, and the best of the earlier masks
mask_input = logits[np.argmax(scores), :, :]
masks, _, _ = predictor.predict(
    point_coords=np.array([[width // 3, height // 2], [width // 2, height // 3]]),
    point_labels=np.array([1, 0]),
    mask_input=mask_input[None, :, :],
    multimask_output=False,
)
found["clicks and mask"] = masks

# a box
input_box = np.array([width // 5, height // 5, width // 2, height // 2])
masks, _, _ = predictor.predict(
    point_coords=None, point_labels=None, box=input_box[None, :], multimask_output=False
)
found["box"] = masks

# several boxes at once
input_boxes = torch.tensor(
    [[width // 5, height // 5, width // 2, height // 2], [0, 0, width // 3, height - 1]],
    device=predictor.device,
)
transformed_boxes = predictor.transform.apply_boxes_torch(input_boxes, image.shape[:2])
masks, _, _ = predictor.predict_torch(
    point_coords=None, point_labels=None, boxes=transformed_boxes, multimask_output=False
)
found["boxes"] = masks.cpu().numpy()

# several images and prompts in one call of the model
resize_transform = ResizeLongestSide(sam.image_encoder.img_size)


def prepare_image(image, transform, device):
    image = transform.apply_image(image)
    image = torch.as_tensor(image, device=device.device)
    return image.permute(2, 0, 1).contiguous()


batched_input = [
    {
        "image": prepare_image(picture, resize_transform, sam),
        "boxes": resize_transform.apply_boxes_torch(input_boxes, picture.shape[:2]),
        "original_size": picture.shape[:2],
    }
    for picture in (image, np.ascontiguousarray(image[:, ::-1]))
]
batched_output = sam(batched_input, multimask_output=False)
for index, each in enumerate(batched_output):
    found[f"batch {index}"] = each["masks"].cpu().numpy()

np.savez(output, **found)
