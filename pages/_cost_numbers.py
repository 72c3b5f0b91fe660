"""The scene "Parameters": how many numbers a norm adds, which of them are learned, which are only kept."""

from __future__ import annotations

from bnlib.experiments.model import Race
from bnlib.lessons import costs
from book import figure as fig
from book.chapter import Board, Cell, Choice, Found, Passage, Row, Scene, View
from book.controls import Values
from book.equations import Equation, row, told
from book.figure import BLUE, INK, ORANGE, Figure
from book.words import brief
from pages import _cost_parts as parts
from pages._cost_scripts import NUMBERS, NUMBERS_TORCH

SHOWN = ("none", "batch", "layer", "weight", "spectral")
LIST = (16, 64, 256, 1024)  # widths of the table


def counted(values: Values, norm: str, width: int) -> dict[str, int]:
    """Count the numbers of the reader's network with a norm, and those that are learned together."""
    found = costs.numbers_of(parts.config_of(values, norm=norm, width=width))
    return found | {"learned": found["weights"] + found["biases"] + found["affine"]}


def part(found: dict[str, int]) -> float:
    """Return gammas and betas in per cent of all that is learned."""
    return 100 * found["affine"] / (found["weights"] + found["biases"] + found["affine"])


def view(values: Values, _: Found) -> View:
    """Count what is learned and what is kept, at the chosen width."""
    hide, width = values["open"], values["width"]
    own, bare = counted(values, "batch", width), counted(values, "none", width)
    resnet = costs.resnet50()
    numbers = {
        "affine": float(own["affine"]), "learned": float(own["learned"]), "part": part(own),
        "kept": float(own["kept"]), "more": float(own["learned"] - bare["learned"]),
        "biases": float(bare["biases"] - own["biases"]), "narrow": part(counted(values, "batch", 16)),
        "narrow_affine": float(counted(values, "batch", 16)["affine"]),
        "narrow_learned": float(counted(values, "batch", 16)["learned"]),
        "resnet": part(resnet), "resnet_affine": float(resnet["affine"]),
        "resnet_kept": float(resnet["kept"]),
        "resnet_learned": float(resnet["weights"] + resnet["biases"] + resnet["affine"]), "layers": 53.0,
    }  # fmt: skip
    text = (
        f"Three layers of {width:,} units with batch norm: {own['affine']:,} of {own['learned']:,} "
        f"parameters are gammas and betas, {numbers['part']:.2g}%."
    )
    figures = {
        "parts": _parts(values, width, None if hide else (numbers["resnet_learned"], numbers["resnet"]))
    }
    board = _board(values, width, hide)
    if hide:
        return View(numbers, text, figures, board=board)
    text += (
        f" They replace {numbers['biases']:,.0f} biases: {numbers['more']:,.0f} parameters more than without "
        f"a norm. {own['kept']:,} running means and variances are kept beside them."
    )
    equation = Equation(
        "part", "gammas and betas among the parameters, %", row("100 (gammas + betas) / parameters"),
        numbers["part"],
        (row("100 · ", told(numbers["affine"]), " / ", told(numbers["learned"])), told(numbers["part"])),
    )  # fmt: skip
    all_ = [counted(values, "batch", one) for one in LIST]
    table = {
        "width": list(LIST), "parameters": [one["learned"] for one in all_],
        "gammas_betas": [one["affine"] for one in all_], "percent": [part(one) for one in all_],
        "kept": [one["kept"] for one in all_],
    }  # fmt: skip
    return View(numbers, text, figures, table, (equation,), board=board)


def _parts(values: Values, width: int, resnet: tuple[float, float] | None) -> Figure:
    """Draw the share of gammas and betas over the number of parameters."""
    widths = (8, 12, *parts.WIDTHS)
    found = [counted(values, "batch", one) for one in widths]
    own = counted(values, "batch", width)
    data = [
        fig.line(widths, [part(one) for one in found], "three dense layers", BLUE),
        fig.dots([width], [part(own)], "this width", INK, size=15, alpha=0.6, showlegend=False,
                 meta={"drag": "width", "axis": "x"}),
    ]  # fmt: skip
    said = f"At width {width:,}: {part(own):.2g}%."
    marks = []
    if resnet is not None:
        marks = [fig.mark(7, resnet[1], 1400, resnet[1], ORANGE, dash="dash")]
        data.append(fig.line([7, 7.1], [resnet[1]] * 2, "ResNet-50", ORANGE, dash="dash"))
        said += (
            f" A dashed line at {resnet[1]:.2g}%: ResNet-50, all {resnet[0] / 1e6:.1f} million parameters."
        )
    ticks = [0.1, 1, 10]
    return fig.figure(
        data, "Gammas and betas among all parameters", f"A falling curve over the width. {said}",
        fig.log_axis(7, 1400, "width of the hidden layers", [16, 64, 256, 1024]),
        fig.log_axis(0.08, 15, "of the parameters", ticks, words=[f"{tick:g}%" for tick in ticks]),
        showlegend=True, shapes=marks,
        hint="Drag the dot. Twice as wide, there are twice as many gammas and betas, but up to four times as "
        "many weights.",
    )  # fmt: skip


def _board(values: Values, width: int, hide: bool) -> Board:
    """List what is learned and what is kept for several norms."""
    rows = []
    for norm in SHOWN:
        one = counted(values, norm, width)
        name = "no norm" if norm == "none" else parts.NAMES[norm]
        cells = (one["weights"], one["biases"], one["affine"], one["kept"])
        rows.append(Row(name, tuple(Cell(f"{cell:,}") for cell in cells)))
    if not hide:
        kinds = ("weights", "biases", "affine", "kept")
        rows.append(Row("ResNet-50", tuple(Cell(f"{costs.resnet50()[kind]:,}") for kind in kinds)))
    return Board(("weights", "biases", "the norm’s parameters", "kept, not learned"), tuple(rows))


SCENE = Scene(
    "numbers", "Parameters",
    "ResNet-50 has 53 convolutions, each followed by batch norm, and one linear layer. How many of its "
    "parameters are gammas and betas?",
    (
        Choice("about half: half of its layers are norms", 50.0,
               "53 of its 107 layers are. But a convolution has thousands of weights for each channel."),
        Choice("about 5%", 5.0, "That is right for layers of 16 units."),
        Choice("about 1%", 1.0, "In three layers of 256 units it is about 1%. ResNet-50 is wider."),
        Choice("about 0.2%", 0.2),
    ),
    "resnet", {}, {},
    "{resnet:.2g}%: {resnet_affine:,.0f} of {resnet_learned:,.0f}.",
    "A channel has one gamma and one beta, but as many weights as its filter: 64 to 4,608 in ResNet-50. "
    "Its bias goes: batch norm would subtract it again, so the convolutions have bias=False.",
    "As many numbers again, {resnet_kept:,.0f} running means and variances, are kept and not learned: "
    "buffers in PyTorch. They are in the state_dict. An optimizer doesn’t see them, and EMA code that "
    "loops over parameters() misses them.",
    "At which width are gammas and betas 1% of the parameters? Which norms in the table keep nothing "
    "beside them?",
    ("width",),
)  # fmt: skip


def pytorch(values: Values) -> str:
    """Count parameters and buffers with PyTorch."""
    return NUMBERS_TORCH.format(width=values["width"])


def script(values: Values) -> str:
    """Build the networks in PyTorch and count."""
    return NUMBERS.format(width=values["width"], widths=LIST)


def lab(values: Values) -> Race:
    """Return the network with batch norm and without a norm."""
    lanes = tuple(parts.config_of(values, norm=norm) for norm in ("batch", "none"))
    return Race(f"{brief(values['width'])} units with batch norm and without", lanes, 300)


PASSAGES = (
    Passage("A network’s numbers, by kind", costs.numbers_of),
    Passage("ResNet-50’s numbers", costs.resnet50),
)
