"""Names that one would say aloud, all of which ``lite`` can find: what is listened for by default."""

# fmt: off
EVERYDAY = (
    "dog", "cat", "bird", "fish", "snake", "bear", "monkey", "elephant", "spider", "butterfly",
    "insect", "animal", "car", "truck", "bus", "train", "boat", "ship", "airplane", "bicycle",
    "vehicle", "bottle", "cup", "plate", "bowl", "box", "basket", "bag", "hat", "shoe", "coat",
    "chair", "table", "bed", "sofa", "lamp", "clock", "camera", "computer", "telephone", "piano",
    "guitar", "ball", "fruit", "apple", "orange", "lemon", "banana", "vegetable", "bread", "flower",
    "house", "church", "bridge", "fence", "umbrella", "knife",
)
