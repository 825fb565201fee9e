"""The classes of Taskonomy: segments, objects and scenes."""

from __future__ import annotations

import numpy as np

# fmt: off
SEGMENTS = (
    "background", "bottle", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase",
)

# fmt: on

# The 100 of ImageNet's 1000 classes that occur indoors, each after its number there.
_OBJECTS = """
    401 accordion; 402 acoustic guitar; 409 analog clock; 412 ashcan; 414 backpack; 430 basketball;
    431 bassinet; 435 bathtub; 453 bookcase; 462 broom; 463 bucket; 470 candle; 478 carton;
    487 cellular telephone; 488 chain; 492 chest; 495 china cabinet; 504 coffee mug; 505 coffeepot;
    508 computer keyboard; 519 crate; 520 crib; 521 Crock Pot; 526 desk; 527 desktop computer;
    528 dial telephone; 530 digital clock; 532 dining table; 533 dishrag; 534 dishwasher;
    539 doormat; 545 electric fan; 546 electric guitar; 548 entertainment center;
    550 espresso maker; 553 file; 559 folding chair; 564 four-poster; 579 grand piano; 588 hamper;
    598 home theater; 606 iron; 619 lampshade; 620 laptop; 632 loudspeaker; 648 medicine chest;
    651 microwave; 662 modem; 664 monitor; 673 mouse; 681 notebook; 700 paper towel; 706 patio;
    711 perfume; 713 photocopier; 716 picket fence; 721 pillow; 728 plastic bag; 729 plate rack;
    733 pole; 736 pool table; 737 pop bottle; 738 pot; 742 printer; 748 purse; 750 quilt;
    752 racket; 753 radiator; 754 radio; 760 refrigerator; 761 remote control; 765 rocking chair;
    770 running shoe; 773 saltshaker; 778 scale; 794 shower curtain; 799 sliding door;
    804 soap dispenser; 805 soccer ball; 809 soup bowl; 825 stone wall; 827 stove;
    831 studio couch; 844 switch; 846 table lamp; 849 teapot; 851 television; 859 toaster;
    861 toilet seat; 882 vacuum; 883 vase; 892 wall clock; 894 wardrobe; 897 washer;
    904 window screen; 905 window shade; 907 wine bottle; 923 plate; 968 cup; 999 toilet tissue
"""

# The 63 of Places' 365 classes that are homes or workplaces, each after its number there.
_SCENES = """
    3 alcove; 23 assembly line; 25 public atrium; 26 attic; 28 auto factory; 37 bank vault;
    43 basement; 45 bathroom; 51 bedchamber; 52 bedroom; 56 biology laboratory; 61 indoor booth;
    63 indoor bow window; 88 chemistry lab; 89 childs room; 93 clean room; 95 closet;
    100 computer room; 102 conference room; 106 corridor; 121 dining room; 124 dorm room;
    126 dressing room; 129 elevator door; 131 elevator shaft; 133 engine room;
    135 indoor escalator; 156 indoor garage; 165 indoor greenhouse; 176 home office;
    177 home theater; 179 hospital room; 182 hotel room; 203 kitchen; 208 laundromat;
    215 living room; 217 lobby; 228 mezzanine; 240 nursery; 241 nursing home; 244 office;
    246 office cubicles; 248 operating room; 253 pantry; 255 indoor parking garage;
    264 physics laboratory; 269 playroom; 280 reception; 281 recreation room; 282 repair shop;
    285 restaurant kitchen; 298 server room; 303 shower; 311 stable; 317 staircase;
    318 storage room; 328 television room; 332 ticket booth; 343 utility room;
    346 veterinarians office; 352 waiting room; 358 wet bar; 363 youth hostel
"""


def _numbered(text: str) -> dict[str, int]:
    pairs = (" ".join(entry.split()).partition(" ") for entry in text.split(";"))
    return {name: int(number) for number, _, name in pairs}


_OBJECT_NUMBERS, _SCENE_NUMBERS = _numbered(_OBJECTS), _numbered(_SCENES)
OBJECTS, SCENES = tuple(_OBJECT_NUMBERS), tuple(_SCENE_NUMBERS)
OBJECT_NUMBERS = np.array(list(_OBJECT_NUMBERS.values()))  # of the 1000 in a file
SCENE_NUMBERS = np.array(list(_SCENE_NUMBERS.values()))  # of the 365 in a file
