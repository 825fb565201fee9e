"""Templates: the file of a new method, which passes the contract as it is."""

from __future__ import annotations

import datetime
import keyword
import re
from pathlib import Path

from auxbench.errors import UsageError
from auxbench.spec.registry import METHODS, NAME

BALANCER = '''"""{title}: auxiliary tasks with losses above the primary's weigh less than half.

Auxiliary a has the weight strength * L_p / (L_p + L_a), and the primary keeps weight 1. This is a
draft, written by auxbench new: say here what the rule is, and how it differs from public code.

Known flaws: it is a draft.

{source}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from auxbench import METHODS, Balancer, Signals
from auxbench.spec.marks import Help, NonNegative


@METHODS.register
class {title}(Balancer):
    """Weights from the losses alone.

    >>> balancer = {title}(["a", "b"], torch.Generator())
    >>> balancer.weights(Signals.of([1.0, 3.0], torch.eye(2))).tolist()
    [1.0, 0.25]
    """

    family = "auxiliary"

    def __init__(
        self,
        tasks: Sequence[str],
        rng: torch.Generator,
        *,
        strength: Annotated[NonNegative, Help("Weight of an auxiliary without a loss.")] = 1.0,
    ) -> None:
        super().__init__(tasks, rng)
        self.strength = strength

    def weights(self, signals: Signals) -> Tensor:
        losses = signals.losses
        both = losses[0] + losses
        weights = self.strength * torch.where(both > 0, losses[0] / both, 0.5)
        weights[0] = 1.0
        return weights
'''
ARCHITECTURE = '''"""{title}: hard parameter sharing, with a brake on the auxiliaries' gradients.

The gradients of the auxiliary losses reach the shared backbone multiplied by `strength`. This is a
draft, written by auxbench new: say here what is shared, and how it differs from public code.

Known flaws: it is a draft.

{source}
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from auxbench import METHODS, Architecture, Builder, Network
from auxbench.spec.marks import Help, Share


@METHODS.register
class {title}(Architecture):
    """A backbone and a head per task; forward: images [B, 3, H, W] -> {{task: prediction}}."""

    def __init__(
        self,
        builder: Builder,
        *,
        strength: Annotated[
            Share, Help("Factor of the auxiliaries' gradients in the backbone.")
        ] = 0.5,
    ) -> None:
        super().__init__(builder)
        self.strength = strength
        # The builder makes the primary's backbone and head start alike under every method.
        self.network = builder.network(self.primary)
        backbone = self.network.backbone
        heads = {{task.name: builder.head(task, backbone) for task in self.tasks[1:]}}
        self.heads = nn.ModuleDict(heads)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features, size = self.network.backbone(images), tuple(images.shape[-2:])
        predictions = {{self.primary.name: self.network.predict(features, images)}}
        braked = [self.strength * x + (1 - self.strength) * x.detach() for x in features]
        for name, head in self.heads.items():
            predictions[name] = head(braked, size)
        return predictions

    def deploy(self) -> Network:
        return self.network
'''
SOURCE = re.compile(
    r'(?P<authors>[^"]+), "(?P<title>[^"]+)", (?:(?P<venue>[^",]+) )?(?P<year>\d{4}), '
    r"(?P<url>https://\S+)"
)
KINDS = {"balancer": BALANCER, "architecture": ARCHITECTURE}


def write(name: str, kind: str, folder: Path | None = None, source: str | None = None) -> list[str]:
    """Write the file of a new method, and say in lines what to do next.

    The default folder is `methods/` of the checkout, or the current one if there is none. Errors:
    `UsageError` for a name that cannot be used or is taken; no file is ever overwritten.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(
            f"name '{name}' cannot be a method's; use lower-case letters, digits and single "
            "dashes, such as 'my-method'."
        )
    if name in METHODS:
        raise UsageError(f"name '{name}' is taken by a registered method; choose another.")
    home = checkout()
    folder = folder or home or Path()
    file = folder / f"{name.replace('-', '_')}.py"
    if file.exists():
        raise UsageError(f"file '{file}' exists already; choose another name or folder.")
    if not folder.is_dir():
        raise UsageError(f"folder '{folder}' does not exist; make it or name another by --folder.")
    template = KINDS[kind]
    title = "".join(word.capitalize() for word in name.split("-"))
    if re.search(rf"\b{title}\b", template):  # such as Balancer, which it imports
        title += "Method"
    year = datetime.date.today().year
    source = source or f'A. Author, "{title}, a draft", {year}, https://example.org/put-a-link'
    text = template.format(title=title, source=_bibtex(source, name))
    file.write_text(text, encoding="utf-8")
    if home is not None and folder.resolve() == home.resolve():
        then = f"auxbench run --methods {name} --dataset rooms --budget demo"
        return [f"{file} is written; next:", f"  auxbench check {name}", f"  {then}"]
    typed = file if file.is_absolute() else f"./{file}"
    return [
        f"{file} is written; next:",
        f"  auxbench check {typed}",
        "To run it by its name, put it into methods/ of a checkout, or into a package with the",
        "entry point group auxbench.methods.",
    ]


def _bibtex(source: str, name: str) -> str:
    """The BibTeX entry of a source; errors: `UsageError` for other text."""
    found = SOURCE.fullmatch(source)
    if found is None or "\\" in source:
        raise UsageError(
            f"source '{source}' cannot be read; write it as 'A. Author, B. Author, \"Title\", "
            "ICML 2026, https://...'."
        )
    # The family name is what follows the initials: "De Palma, A." for A. De Palma.
    authors = [
        re.sub(r"^((?:\S+\. )+)(.+)$", lambda name: f"{name[2]}, {name[1].strip()}", author)
        for author in found["authors"].split(", ")
    ]
    fields = {
        "author": " and ".join(authors),
        "title": f"{{{found['title']}}}",
        **({"booktitle": found["venue"]} if found["venue"] else {}),
        "year": found["year"],
        "url": found["url"],
    }
    lines = [f"  {key} = {{{value}}}," for key, value in fields.items()]
    kind = "inproceedings" if found["venue"] else "misc"
    return "\n".join([f"@{kind}{{{name.replace('-', '')}{found['year']},", *lines, "}"])


def checkout() -> Path | None:
    """The folder `methods/` of the checkout that auxbench runs from; None if there is none."""
    root = Path(__file__).resolve().parent.parent
    return root / "methods" if (root / "pyproject.toml").exists() else None
