"""The layouts of NYU Depth v2 on the user's disk, read by `auxbench data` without torch.

All are converted to the same prepared form, as far as they have the labels: pictures of `size`
(288x384 by default) from frames of 480 x 640 pixels, cropped to 420 x 560 because the sensor has no
depth at the border (`crop=no` keeps it). Both have sides of 3:4, so nothing is distorted unless
`size` has another ratio, as in the released code of Aux-NAS; normals are then left unchanged, as
there. Labels are taken from the nearest pixel, never averaged. The crop is auxbench's choice: the
code that made the widely used .npy files was lost.

Normals are converted to x right, y down, z forward. In the pictures of NDDR-CNN, Aux-NAS and
AdaShare, and in Eigen's normals from which these were made, the order is right, forward, up. For
the .npy files it is not documented, so it is measured: normals of visible surfaces point towards
the camera, those in the lower part of a room point up, and those on the left point right.

Sources: Silberman, Hoiem, Kohli and Fergus, Indoor Segmentation and Support Inference from RGBD
Images, ECCV 2012, https://doi.org/10.1007/978-3-642-33715-4_54; for the normals, Eigen and Fergus,
Predicting Depth, Surface Normals and Semantic Labels with a Common Multi-Scale Convolutional
Architecture, ICCV 2015, https://arxiv.org/abs/1411.4734; for the layouts, Liu, Johns and Davison
(MTAN), CVPR 2019, https://arxiv.org/abs/1803.10704; Gao et al. (NDDR-CNN), CVPR 2019,
https://arxiv.org/abs/1801.08297; Sun, Panda, Feris and Saenko (AdaShare), NeurIPS 2020,
https://arxiv.org/abs/1911.12423
"""

from __future__ import annotations

from .nyuv2_mtan import Mtan
from .nyuv2_official import Official
from .nyuv2_pictures import AdaShare, Nddr

LAYOUTS = (Official, Mtan, AdaShare, Nddr)
