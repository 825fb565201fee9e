"""The class numbers of NYU Depth v2: from 894 names to 40 and to 13 classes, and its scene types.

Sources: for the 40 classes, Gupta, Arbeláez and Malik, Perceptual Organization and Recognition of
Indoor Scenes from RGB-D Images, CVPR 2013, https://doi.org/10.1109/CVPR.2013.79; for the 13,
Couprie, Farabet, Najman and LeCun, Indoor Semantic Segmentation using Depth Information, ICLR 2013,
https://arxiv.org/abs/1301.3572
"""

from __future__ import annotations

import numpy as np

# The classes (1..40) of the labels 1..894, in the order of the data set's own list of names.
_FORTY = """
    40 40 3 22 5 40 12 38 40 40 2 39 40 40 26 40 24 40 7 40 1 40 40 34 38 29 40 8 40 40 40 40 38
    40 40 14 40 38 40 40 40 15 39 40 30 40 40 39 40 39 38 40 38 40 37 40 38 38 9 40 40 38 40 11
    38 40 40 40 40 40 40 40 40 40 40 40 40 40 38 13 40 40 6 40 23 40 39 10 16 40 40 40 40 38 40
    40 40 40 40 40 40 40 40 38 40 39 40 40 40 40 39 38 40 40 40 40 40 40 18 40 40 19 28 33 40 40
    40 40 40 40 40 40 40 38 27 36 40 40 40 40 21 40 20 35 40 40 40 40 40 40 40 40 38 40 40 40 4
    32 40 40 39 40 39 40 40 40 40 40 17 40 40 25 40 39 40 40 40 40 40 40 40 40 39 40 40 40 40 40
    40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 39 40 40 40 40 40 40 40 40 40 39 38 38 40 40 39
    40 39 40 38 39 38 40 40 40 40 40 40 40 40 40 40 39 40 38 40 40 38 38 40 40 40 40 40 40 40 40
    40 40 40 40 40 38 40 40 40 40 40 39 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 39 40 40 40
    40 40 40 40 40 40 40 40 40 39 40 40 40 38 40 40 39 40 40 38 40 40 40 40 40 40 40 40 40 40 40
    39 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 31 40 40 40 40 40 40 40 38 40 40 38 39
    39 40 40 40 40 40 40 40 40 40 38 40 39 40 40 39 40 40 40 38 40 40 40 40 40 40 40 40 38 39 40
    40 40 40 40 40 38 40 40 40 40 40 40 40 40 40 40 40 38 39 40 40 40 40 40 40 40 39 40 40 40 40
    40 40 38 40 40 40 38 40 39 40 40 40 39 39 40 40 40 40 40 40 40 40 40 40 39 40 40 40 40 40 40
    40 40 40 40 40 40 39 39 40 40 39 39 40 40 40 40 38 40 40 38 39 39 40 39 40 39 38 40 40 40 40
    40 40 40 40 40 40 40 39 40 38 40 39 40 40 40 40 40 39 39 40 40 40 40 40 40 39 39 40 40 38 39
    39 40 40 40 40 40 40 40 40 40 39 39 40 40 40 40 39 40 40 40 40 40 39 40 40 39 40 40 40 40 40
    40 40 40 40 40 40 40 40 40 40 39 38 40 40 40 40 40 40 40 39 38 39 40 38 39 40 39 40 39 40 40
    40 40 40 40 40 40 38 40 40 40 40 40 38 40 40 39 40 40 40 39 40 38 40 40 40 40 40 40 40 40 38
    40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 39 38 40 40 38 40 40 38 40 40 40 40 40 40 40
    40 40 39 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 38 40 40 38 40 40 40 40 40 40 40 40
    40 40 40 38 38 38 40 40 40 38 40 40 40 38 38 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40
    40 38 40 40 40 40 40 40 40 40 40 40 40 40 40 38 40 38 39 40 40 40 40 40 40 40 40 40 40 40 40
    40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 39 40 40 40 40 40 40 40 40 40 40 40 40
    40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 40 39 40 39 40 40 40 40 38
    38 40 40 40 38 40 40 40 40 40 40 40 40 40 40 40 40 40 40 39 40 40 39 40 40 39 39 40 40 40 40
    40 40 40 40 39 39 39 40 40 40 40 39 40 40 40 40 40 40 40 40 39 40 40 40 40 40 39 40 40 40 40
    40 40 40 40 40 40 40 40 40 40 38 40 40 40 40 40 40 40 39 40 40 38 40 39 40 40 40 40 38 40 40
    40 40 40 38 40 40 40 40 40 40 40 39 40 40 40 40 40 40 40 40 40 39 40 40
"""

# The classes (1..13) to which the classes 1..40 belong.
_THIRTEEN = """
    12 5 6 1 4 9 10 12 13 6 8 6 13 10 6 13 6 7 7 5 7 3 2 6 11 7 7 7 7 7 7 6 7 7 7 7 7 7 6 7
"""

FORTY = np.array([0, *map(int, _FORTY.split())], np.int8) - np.int8(1)  # by label; -1 for none
THIRTEEN = np.array(_THIRTEEN.split(), np.int64) - 1  # by class of 0..39

# fmt: off
NAMES13 = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa",
    "table", "tv", "wall", "window",
)

NAMES40 = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf",
    "picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror",
    "floor mat", "clothes", "ceiling", "books", "refridgerator", "television", "paper", "towel",
    "shower curtain", "box", "whiteboard", "person", "night stand", "toilet", "sink", "lamp",
    "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop",
)

SCENES = (
    "basement", "bathroom", "bedroom", "bookstore", "cafe", "classroom", "computer_lab",
    "conference_room", "dinette", "dining_room", "exercise_room", "foyer", "furniture_store",
    "home_office", "home_storage", "indoor_balcony", "kitchen", "laundry_room", "living_room",
    "office", "office_kitchen", "playroom", "printer_room", "reception_room", "student_lounge",
    "study", "study_room",
)
# fmt: on
