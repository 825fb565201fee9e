"""The layouts of NYU Depth v2 on the user's disk; what `auxbench data` reads, without torch.

All become the same prepared form, as far as they have the labels: pictures of `size` (288x384
unless the user says otherwise) from frames of 480 x 640 pixels whose border, where the sensor has
no depth, is cut away to 420 x 560 (`crop=no` keeps it); both have sides of 3:4, so nothing is
squeezed unless `size` has others, as in the released code of Aux-NAS. Normals then stay those of
the scene, as there. Labels are picked, never averaged. The cut is auxbench's choice: the code that
made the widely used .npy files was lost.

Normals become x right, y down, z forward. Their order in the pictures of NDDR-CNN, Aux-NAS and
AdaShare, and in the normals of Eigen from which these were made, is right, forward, up. For the
.npy files it is written nowhere, so it is measured: normals of what a camera sees point towards
it, in the lower part of rooms they point up, and those on the left point right.

Sources: Silberman, Hoiem, Kohli and Fergus, Indoor Segmentation and Support Inference from RGBD
Images, ECCV 2012, https://doi.org/10.1007/978-3-642-33715-4_54; of the normals, Eigen and Fergus,
Predicting Depth, Surface Normals and Semantic Labels with a Common Multi-Scale Convolutional
Architecture, ICCV 2015, https://arxiv.org/abs/1411.4734; of the layouts, Liu, Johns and Davison
(MTAN), CVPR 2019, https://arxiv.org/abs/1803.10704; Gao et al. (NDDR-CNN), CVPR 2019,
https://arxiv.org/abs/1801.08297; Sun, Panda, Feris and Saenko (AdaShare), NeurIPS 2020,
https://arxiv.org/abs/1911.12423
"""

from __future__ import annotations

from .nyuv2_mtan import Mtan
from .nyuv2_official import Official
from .nyuv2_pictures import AdaShare, Nddr

LAYOUTS = (Official, Mtan, AdaShare, Nddr)
