"""What a race's sentences claim, held against its frames: measured here a second time, with NumPy alone."""

import math
import re
from functools import cached_property
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import numpy as np

from bnlib.data import load
from bnlib.theory import gradient_growth_relu
from book.race._lane import short
from book.race.evidence import RACES
from book.race.reasons import PLACES
from book.race.scenes import SCENES, titled
from book.registry import chapters, pages

NUMBER = r"\d[\d,]*(?:\.\d+)?(?:×10[⁻⁰¹²³⁴-⁹]+)?|(?<=1)0[⁻⁰¹²³⁴-⁹]+"
FROM_RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
# Words that tell what a number is.
TELLING = (
    r"loss|spread|measured|update|\boff\b|saturated|Most are|fell by|falling|right on|give it|"
    r"those of a batch|gradient"
)
RELU_SPREAD = math.sqrt(0.5 - 0.5 / math.pi)


def legible(found):
    """One or two sentences in plain numbers, a way on, and nothing unfinished."""
    text = f"{found.because} {found.change}"
    assert found.because and found.because.endswith(".") and found.because[0].upper() == found.because[0]
    assert not {"nan", "inf", "None", "not a number", "∞"} & set(re.findall(r"∞|\w+", text))
    assert "  " not in text and ".." not in text and "{" not in text
    sentences = re.findall(r"[.:;?] [A-ZΑ-Ωβγε“]", re.sub(r"et al\. \(", "", found.because))
    assert len([mark for mark in sentences if mark[0] == "."]) <= 1, "at most two sentences"
    assert not found.change or found.change.endswith(".")
    assert len(found.read) <= 3 and set(found.read) <= set(titled(PLACES.values()))


def leads_somewhere(address):
    """Say whether there is a page, a scene of it, a race, at an address below the root."""
    link = urlsplit(address)
    query = {name: value for name, (value,) in parse_qs(link.query, strict_parsing=bool(link.query)).items()}
    if link.path not in {page.path for page in pages().values()} or not query.keys() <= {
        "scene", "experiment", "preset",
    }:  # fmt: skip
        return False
    if "scene" in query:
        chapter = next((one for one in chapters().values() if one.path == link.path), None)
        return chapter is not None and query["scene"] in {scene.name for scene in chapter.scenes}
    if "experiment" in query:
        return query["experiment"] in {name for name, _ in RACES}
    return "preset" not in query or query["preset"] in SCENES


def mean(values, axis=None):
    """The mean of what is finite; NaN without any."""
    values = np.ma.masked_invalid(np.asarray(values, dtype=float))
    return np.ma.filled(values.mean(axis=axis), np.nan)


class Measured:
    """One lane's numbers, by the kind of claim that they answer."""

    def __init__(self, config, frame, step):
        self.config, self.frame, self.step = config, frame, step
        self.alive = np.isfinite(frame["train_loss"][:, -1])
        self.curve = mean(frame["train_loss"][self.alive], axis=0)
        self.window = max(1, round(len(self.curve) / 10))
        self.recent = min(len(self.curve), math.ceil(20 / config.record_every))

    def layers(self, name, number):
        values = self.frame[name][:, number]
        return mean(values[self.alive] if number == -1 else values, axis=0)

    def latest(self, name):
        values = self.frame[name][self.alive]
        known = np.flatnonzero(np.isfinite(values).any(axis=0))
        return values[:, known[-1]] if len(known) else np.array([np.nan])

    @cached_property
    def loss(self):
        return float(mean(self.curve[-self.recent :]))

    @cached_property
    def losses(self):
        guessing = math.log(load(self.config.dataset).classes), math.log(2)
        return [self.loss, float(mean(self.latest("val_loss"))), *guessing]

    @cached_property
    def accuracies(self):
        """In percent: mean, lowest and highest seed; with a batch's statistics."""
        values, batch = self.latest("val_accuracy"), self.latest("val_accuracy_batch")
        return [100 * float(each) for each in (mean(values), values.min(), values.max(), mean(batch))]

    @cached_property
    def updates(self):
        """Shares of the weights that an update changes: of layers, and on average over them."""
        values = self.frame["update_ratio"]
        begun, now = self.layers("update_ratio", 0), self.layers("update_ratio", -1)
        logs = [begun[0], begun[-1], mean(begun), now[0], mean(now), mean(values[self.alive])]
        logs.append(mean(values[self.alive][:, : self.window]))
        if not self.alive.all():
            ends = [np.flatnonzero(np.isfinite(loss))[-1:] for loss in self.frame["train_loss"][~self.alive]]
            last = [values[seed, end[0]] for seed, end in zip(np.flatnonzero(~self.alive), ends, strict=True)
                    if len(end)]  # fmt: skip
            logs += list(mean(last, axis=0)) if last else []
        return [10 ** float(log) for log in logs]

    @cached_property
    def folds(self):
        """How many times the gradient grows toward the input, or ought to; how many times it shrinks."""
        ratios = [
            float(gradient[-1] / gradient[0])
            for gradient in (self.layers("gradient_norm", 0), self.layers("gradient_norm", -1))
            if gradient[0] > 0 and gradient[-1] > 0
        ]
        depth, batch = self.config.depth, self.config.batch_size
        predicted = [gradient_growth_relu(batch) ** ((depth - 1) / 2)] if batch > 3 else []
        return [*(1 / ratio for ratio in ratios), *predicted], ratios

    @cached_property
    def spreads(self):
        begun = self.layers("activation_std", 0)
        return [
            begun[0],
            begun[-1],
            mean(begun),
            begun[-1] / begun[0],
            abs(self.config.gamma),
            self._closed_form(),
        ]

    def _closed_form(self):
        """The last layer's spread with ε, out of the first layer's share of a variance that is left."""
        config = self.config
        share = (self.layers("activation_std", 0)[0] / RELU_SPREAD) ** 2
        for _ in range(config.depth - 1):
            variance = config.init_scale**2 * share * (1 - 1 / math.pi)
            share = variance / (variance + config.eps)
        return RELU_SPREAD * math.sqrt(share)

    @cached_property
    def off(self):
        found = []
        for name in ("dead", "saturation"):
            begun, now = self.layers(name, 0), self.layers(name, -1)
            found += [mean(begun), mean(now), np.nanmax(now) if np.isfinite(now).any() else np.nan]
        return [float(share) for share in found]

    @cached_property
    def falls(self):
        span = max(1, round(len(self.curve) / 5))
        before, now = (float(mean(part)) for part in (self.curve[-2 * span : -span], self.curve[-span:]))
        return [(before - now) / before]

    @cached_property
    def steps(self):
        """Those of the present, of its latest validation, of divergence, and counts of steps."""
        every, count = self.config.record_every, len(self.curve)
        validated = self.step // self.config.validate_every * self.config.validate_every
        found = [0, self.step, validated, round(count / 5) * every, self.window * every]
        lost = self.frame["train_loss"][~self.alive]
        return [*found, *(int(np.argmin(np.isfinite(loss))) * every for loss in lost)]

    def reached(self, loss):
        """The steps by which twenty steps had a loss, on average."""
        sums = np.cumsum(np.insert(self.curve, 0, 0.0))
        averages = (sums[self.recent :] - sums[: -self.recent]) / self.recent
        return [
            (int(k) + self.recent - 1) * self.config.record_every
            for k in np.flatnonzero(averages <= loss)[:1]
        ]

    @cached_property
    def settings(self):
        """What was set, and closed forms of it."""
        config = self.config
        scale, depth = config.init_scale, config.depth
        together = config.statistics_of or config.batch_size
        shapes = [int(np.prod(shape[:-1])) for shape in config.shapes]
        validated = self.step // config.validate_every * config.validate_every
        return [
            0, 1, depth, depth - 1, config.lr, config.eps, config.gamma, config.beta, config.momentum, scale,
            scale**depth, scale ** (depth - 1), together, together * shapes[0], together * shapes[-1],
            *config.shapes[0][:2], config.batch_size * min(self.step, config.cosine_steps or self.step), 1000,
            2 * math.sqrt(config.eps), config.replicas, int((~self.alive).sum()),
        ], [
            config.label_noise, 1 / math.sqrt(together), config.momentum**validated,
            config.lr * config.weight_decay,
        ]  # fmt: skip


def amount(text):
    """Read a number as it is printed."""
    mantissa, _, exponent = text.replace(",", "").partition("×10")
    return float(mantissa) * 10.0 ** int(exponent.translate(FROM_RAISED) or 0)


def printed(value, found, digits):
    """Say whether ``found`` may be printed as ``value``, to so many significant digits."""
    if not math.isfinite(found):
        return False
    if value == 0:
        return abs(found) < 0.5e-3
    return abs(found - value) <= 0.51 * 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)


def marked(names, text):
    """Put «0», «1», ... in the places of lanes' names, whose own numbers are no claims."""
    brief = short(names)
    for name in sorted({*names, *brief}, key=len, reverse=True):
        number = (names if name in names else brief).index(name)
        text = re.sub(f"[{name[0].upper()}{name[0]}]{re.escape(name[1:])}", f"«{number}»", text)
    return text


class Claim(NamedTuple):
    """A number in a reason.

    text, unit : as it is printed
    said : the words around it
    verb : of a gradient: whether it grows or shrinks
    lane : the number of the lane that it is of, None where the words don't say it
    layer : of the layer that it is of, 0 where they don't say it
    """

    text: str
    unit: str
    said: str
    verb: str
    lane: int | None
    layer: int


def claims(names, because):
    """List the numbers in a reason."""
    found = []
    text = re.sub(r"et al\. \(\d+\)|√\(gap² \+ 4ε\)|close to ±1", "et al", marked(names, because))
    for sentence in re.split(r"(?<=[.]) ", text):
        for clause in re.split(r"(?<=;) ", sentence):
            found += _claims(clause, clause if re.search(TELLING, clause) else sentence)
    return found


def _claims(clause, said):
    for match in re.finditer(NUMBER, clause):
        before, after = clause[: match.start()], clause[match.end() :]
        if before.endswith(("«", "/√")):
            continue
        own = re.search(r"[Ww]ith «(\d)»:? $|«(\d)» (?:is right )?on $", before)
        own = own or re.match(r"(?:-fold|%)?(?: as long as (?:the|layer 1’s) weights)? with «(\d)»", after)
        unit = re.match(r"-fold|%| times as long| times as high| step", after)
        step = re.search(r"steps? $|steps \d+ and $", before)
        verb = re.findall(r"grows|shrinks|grew|predict", before)[-1:]
        layer = re.match(r"%?(?: as long as the weights)? in layer (\d+)", after)
        yield Claim(
            match[0],
            " step" if step else unit[0] if unit else "",
            said,
            verb[0] if verb else "",
            int(own[own.lastindex]) if own else None,
            int(layer[1]) if layer else 0,
        )


def unfounded(names, lanes, because):
    """List the numbers in a reason that no measurement of its lane, or of any lane, explains."""
    return [one for one in claims(names, because) if not _founded(one, lanes)]


def _founded(claim, lanes):
    """Say whether a lane has the number: the words around it tell what it must be."""
    own, value, said = (
        [lanes[claim.lane]] if claim.lane is not None else lanes,
        amount(claim.text),
        claim.said,
    )
    if claim.unit == " step":
        reached = [step for lane in lanes for other in lanes for step in lane.reached(other.loss)]
        return value in [*reached, *(step for lane in lanes for step in lane.steps)]
    if claim.unit == "-fold":
        return any(printed(value, fold, 2) for lane in own for fold in lane.folds[claim.verb == "shrinks"])
    if claim.unit == " times as high":
        pairs = [(one.loss, other.loss) for one in lanes for other in lanes]
        return any(printed(value, one / other, 2) for one, other in pairs)
    if claim.unit == " times as long":
        return any(printed(value, size, 2) for lane in own for size in lane.updates)
    if "may be chance" in said:
        means = [lane.accuracies[0] for lane in lanes]
        return claim.unit == "%" or any(
            abs(value - abs(one - other)) < 0.101 for one in means for other in means
        )
    if claim.unit == "%":
        return any(_percent(value, claim, lane) for lane in own)
    pool = [number for lane in own for number in lane.settings[0]]
    if "loss" in said:
        pool += [number for lane in own for number in lane.losses]
    if "v/(v + ε)" in said and claim.layer:
        shares = [s for lane in own for s in lane.layers("activation_std", 0)[claim.layer - 1 : claim.layer]]
        return any(printed(value, float(spread / RELU_SPREAD) ** 2, 3) for spread in shares)
    if re.search(r"spread|measured", said):
        pool += [float(number) for lane in own for number in lane.spreads]
    return any(printed(value, number, 3) for number in pool)


def _percent(value, claim, lane):
    if "less than 0.001%" in claim.said and claim.text == "0.001":
        return any(0 < size < 1e-5 for size in lane.updates)
    if re.search(r"right on|give it|those of a batch|«\d» on", claim.said):
        return any(abs(value - accuracy) <= 0.0501 for accuracy in lane.accuracies)
    shares = lane.settings[1]
    if "update" in claim.said:
        shares = lane.updates
    elif re.search(r"\boff\b|saturated|Most are", claim.said):
        shares = lane.off
    elif re.search(r"fell by|falling", claim.said):
        shares = lane.falls
    return any(printed(value, 100 * share, 2) for share in shares)
