"""Training and inference: why a network that trained well can be wrong when it is used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bnlib import RunConfig
from bnlib.lessons import clinic, inference
from bnlib.networks import network
from bnlib.networks.inference import inference_layers
from bnlib.norms.running import RunningStats
from bnlib.training import evaluation
from book.chapter import Asked, Chapter, Choice, Found, Job, Passage, Scene, Source, View
from book.controls import EPS_STOPS, Control, Values
from pages._inference_clinic import PATIENTS
from pages._inference_parts import DRAWS, STEP_BATCH, conv_steps, small, step_batch
from pages._inference_programs import pytorch
from pages._inference_scripts import script
from pages._inference_views import VIEWS

MOMENTA = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
SIZES = (1, 2, 4, 8, 16, 32, 64)
RATES = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0)
# Digits between two classes, and a few that are sure of theirs.
PINS = (5, 8, 50, 76, 98, 104, 137, 145, 149, 179, 200, 204, 214, 300, 301, 330, 332, 403, 420, 452, 465, 474)
COMPANY = {"shuffled": "all classes", "pairs": "two classes", "sorted": "one class"}


def _torch_momentum(momentum: float) -> str:
    return f"{momentum:g} (PyTorch: {1 - momentum:.3g})"


CONTROLS = (
    Control(
        "mode", "choice", "train", "mode", choices=("train", "eval"), names=("train()", "eval()"),
        look="buttons",
        about="train() normalizes with the mean and variance of the batch, eval() with statistics that were "
        "kept from training.",
    ),
    Control(
        "statistics", "choice", "running", "eval() uses", choices=("running", "precise"),
        names=("running averages", "recomputed"), look="buttons",
        about="Running averages were kept during training. Recomputed statistics come from one more pass "
        "over the training images, without any change of a weight.",
    ),
    Control(
        "momentum", "number", 0.9, "momentum", "of the old value", 0, 0.999, MOMENTA,
        marks=(0.9, 0.99),
        says=_torch_momentum,
        about="Weight of the old value in each running average. Near 1 they lag behind, near 0 they are "
        "noisy. PyTorch’s momentum weighs the new value: it is 1 minus this.",
    ),
    Control(
        "batch_size", "whole", 64, "norm batch", "samples that share μ and σ", 1, 64, SIZES,
        about="How many samples share a mean and a variance, like the batch of one GPU without "
        "SyncBatchNorm. The training step uses more samples than that.",
    ),
    Control(
        "lr", "number", 0.3, "learning rate", "0: weights stay", 0, 1, RATES,
        about="How far a step moves the weights. The faster they change, the further the running averages "
        "are behind; at 0 the weights stay as they are.",
    ),
    Control(
        "order", "choice", "shuffled", "who shares a norm batch", choices=tuple(COMPANY),
        names=("shuffled", "two classes", "one class"), look="buttons",
        about="Which samples meet in a norm batch. With one or two classes in each, its mean is close to "
        "the mean of these classes, and the norm subtracts what tells classes apart.",
    ),
    Control(
        "eps", "number", 1e-5, "ε eps", "added to the variance", 0, 1, EPS_STOPS,
        about="Added to the variance before the root is taken, so that nothing is divided by 0. Near the "
        "variance or above it, outputs shrink. In PyTorch: eps.",
    ),
    Control(
        "unit", "whole", 5, "unit", "of the first layer", 0, 63, tuple(range(64)),
        about="The unit of the first layer whose means and variances are drawn.",
    ),
    Control(
        "draw", "next", 0, "other digits in the batch", "", 0, 10_000,
        about="Draws other digits to share the batch with the pinned one. In train() its output changes "
        "with them.",
    ),
    Control(
        "pin", "whole", 149, "pinned digit", "of 500", 0, 499, PINS,
        about="The validation digit that is asked about in every draw. Most digits here are close to a "
        "second class.",
    ),
    Control(
        "network", "choice", "mlp", "network", choices=("mlp", "cnn"), names=("dense", "convolutional"),
        look="buttons",
        about="Dense layers have one number per sample and unit; a convolution has 8 × 8 or 4 × 4 per "
        "sample and channel, which share μ and σ.",
    ),
    Control(
        "test", "choice", "training", "test", choices=("training", "gap", "batches", "recalibrate"),
        look="buttons",
        names=("eval() on training data", "gap of means", "larger batches in train()", "recompute"),
        about="A measurement that is made on all three networks. Each one tells other causes apart.",
    ),
    Control(
        "cell", "whole", -1, "remedy", "", -1, 17, unset="none",
        about="The cell of the table that is chosen: a network and a remedy.",
    ),
    Control(
        "step", "step", 20, "step", "", 0, 400,
        about="How many training steps the networks have made.",
    ),
)  # fmt: skip


# ---- what runs -------------------------------------------------------------------------------------------


def config_of(values: Values, **more: Any) -> RunConfig:
    """Return the network of these settings: as many samples a step, whatever share their statistics."""
    m, order, size = values["batch_size"], values["order"], step_batch(values)
    whole = m == size and order == "shuffled"
    fields = {
        "depth": 3, "width": 64, "batch_size": size, "norm_batch": 0 if whole else m, "batch_order": order,
        "lr": values["lr"], "momentum": values["momentum"], "eps": values["eps"], "replicas": 4,
        "dtype": "float64",
    }  # fmt: skip
    return RunConfig(**(fields | more))


def patients(values: Values) -> dict[str, clinic.Patient]:
    """Return the clinic's three networks: stale averages, averages of few samples, other data in use."""
    base = config_of(
        values | {"batch_size": 64, "order": "shuffled", "momentum": 0.9, "lr": 0.3, "eps": 1e-5}
    )
    cases = (
        clinic.Patient(replace(base, momentum=0.999), 20),
        clinic.Patient(replace(base, momentum=0.1, norm_batch=4, lr=0.1), 60, first=True),
        clinic.Patient(base, 100, change=(0.5, 0.5)),
    )
    return dict(zip(PATIENTS, cases, strict=True))


def runs(values: Values) -> dict[str, RunConfig]:
    """Return the training run whose curves are drawn."""
    if values["scene"] not in ("stale", "free"):
        return {}
    return {"run": config_of(values, record_every=1, validate_every=5)}


def jobs(values: Values) -> dict[str, Job]:
    """Return what a scene needs of the pool."""
    scene, step, config = values["scene"], values["step"], config_of(values)
    if scene in ("stale", "recalibrate"):
        return {"modes": Job(inference.modes, (config, step))}
    if scene == "lag":
        steps, one = max(step, 1), replace(config, replicas=1)
        return {
            "lag": Job(inference.lag, (replace(one, momentum=0.0), steps)),
            "gap": Job(inference.gaps, (one, steps, STEP_BATCH)),
        }
    if scene == "one_class":
        others = {"mixed": replace(config, batch_order="shuffled"), "layer": replace(config, norm="layer")}
        lanes = {"grouped": config} | others
        found = {name: Job(inference.grouped, (one, step)) for name, one in lanes.items()}
        return found | {"gap": Job(inference.gaps, (config, step, STEP_BATCH))}
    if scene == "roulette":
        m, pin, seed = values["batch_size"], values["pin"], values["draw"] // DRAWS
        layer = replace(config, norm="layer", norm_batch=0, batch_order="shuffled", replicas=1)
        return {
            "pinned": Job(inference.pinned, (config, step, m, DRAWS, seed, pin)),
            "roulette": Job(inference.roulette, (config, step, m, DRAWS, seed)),
            "layer": Job(inference.roulette, (layer, step, m, DRAWS, seed)),
            "gap": Job(inference.gaps, (config, step, STEP_BATCH)),
        }
    if scene == "alone":
        if values["network"] == "mlp":
            return {
                "alone": Job(inference.alone, (config, step)),
                "gap": Job(inference.gaps, (config, step, STEP_BATCH)),
            }
        images = config_of(values, network="cnn", width=8, replicas=1, norm_batch=0, batch_order="shuffled")
        return {
            "alone": Job(inference.alone, (images, conv_steps(step))),
            "instance": Job(inference.alone, (replace(images, norm="instance"), conv_steps(step))),
        }
    if scene == "clinic":
        cases = patients(values)
        found = {f"examine {name}": Job(clinic.examine, (case,)) for name, case in cases.items()}
        for name, case in cases.items():
            found |= {f"{name} {fix}": Job(clinic.remedy, (case, fix)) for fix in clinic.REMEDIES}
        usual = cases["B"]._replace(config=replace(cases["B"].config, momentum=0.9))
        found["usual"] = Job(clinic.examine, (usual,))
        return found
    return {}


def compute(values: Values, found: Found) -> View:
    """Show the scene that is chosen."""
    return VIEWS[values["scene"]](values | {"order_name": COMPANY[values["order"]]}, found)


# ---- scenes ----------------------------------------------------------------------------------------------

STALE = Scene(
    "stale", "Stale averages",
    "A network has trained for 20 steps with momentum 0.999. In train() it is right on about nine digits in "
    "ten. Switch to eval(): how many are right?",
    (
        Choice("as many: the weights are the same", "right_train",
               "The weights are the same, and in training mode they work. But eval() divides by other "
               "numbers."),
        Choice("a few per cent fewer", "slightly",
               "Running averages do lag, and a small lag would cost that. This one is not small."),
        Choice("fewer than half of them", 0.4),
        Choice("one in ten: it guesses", 0.1,
               "The outputs of the norms are far off. But signs and proportions within a layer partly "
               "survive."),
    ),
    "right", {"momentum": 0.999, "step": 20}, {"mode": "eval"},
    "eval() was right on {right:.0%} of the digits; train() on {before_right:.0%}.",
    "eval() normalizes with running averages that start at mean 0 and variance 1; after {step:.0f} steps "
    "{left:.0%} of that start is left. In the first layer the batches have variance {batch_var}, but the "
    "running average is {running_var}.",
    "The start fades: after {gone} steps 1% of it is left. With momentum 0.9 (PyTorch’s default, written 0.1 "
    "there), {usual:.0f} steps are enough.",
    "Set momentum to 0.99 and train on: at which step does eval() catch up with train()?",
    ("mode", "momentum", "lr", "batch_size", "step"),
)  # fmt: skip

LAG = Scene(
    "lag", "Lag and noise",
    "The running mean starts at 0. The batches have another mean: a jump. With momentum 0.9, after how many "
    "steps has the running mean gone half of the way?",
    (
        Choice("1: the new batch weighs 0.9", 0.3,
               "That would be right in PyTorch with momentum=0.9: there momentum weighs the NEW value. Here "
               "it weighs the old one, and 0.9 here is PyTorch’s 0.1."),
        Choice("about 7", 6.6),
        Choice("10: a step closes a tenth of it", 10.0,
               "A step closes a tenth of what is LEFT. After 10 steps 35% is left."),
        Choice("19: it averages so many batches", 19.0,
               "An average of 19 batches would be as noisy as this one. But it gives the latest ones most "
               "weight."),
    ),
    "half", {"lr": 0.0, "step": 60}, {},
    "The running mean had gone half of the way after {half:.1f} steps.",
    "Each step keeps {momentum} of the distance, so that half of it is left after ln ½ / ln {momentum} "
    "steps. The same number sets the noise: less lag means more noise.",
    "The formula for the noise takes batches as independent. Batches of one epoch share no digit, so the "
    "running means scatter only {noise:.2f} times as much.",
    "Set momentum to 0.98: how do lag and noise change?",
    ("momentum", "lr", "unit", "step"),
)  # fmt: skip

RECALIBRATE = Scene(
    "recalibrate", "Recalibrate",
    "The same stale network. Its training images pass through once more, the statistics are computed from "
    "them, and no weight changes. What does eval() do now?",
    (
        Choice("as before: it has learned nothing", "right_eval",
               "It has learned nothing new: the weights are the same. But the weights were not what was "
               "wrong."),
        Choice("it comes half of the way back", "halfway",
               "A few more steps of the running average would bring that. A pass over the data has no "
               "start to forget."),
        Choice("it is as good as train()", "right_train"),
    ),
    "right", {"momentum": 0.999, "step": 20, "mode": "eval"}, {"statistics": "precise"},
    "eval() went from {before_right:.0%} to {right:.0%}; train() had {right_train:.0%}.",
    "The weights were right all along; only the means and variances were wrong: a running variance was "
    "{running_var} where the data have {batch_var}. A pass over {images} images is also less noisy than a "
    "batch of 64.",
    "A pass corrects averages that are late or noisy. It can’t correct weights that were trained with "
    "statistics of another kind: see the next scene.",
    "Set momentum to 0.9 and train on: how much does recomputing still gain?",
    ("statistics", "momentum", "lr", "batch_size", "step"),
)  # fmt: skip

ONE_CLASS = Scene(
    "one_class", "Norm batches of one class",
    "Another network trains with 128 samples a step, in norm batches of 8 that are nearly always of one "
    "class. Its eval() is worse than that of a network trained with mixed classes. Does it help to recompute "
    "the statistics on the training data?",
    (
        Choice("yes: as good as with mixed classes", "mixed",
               "It did so for stale averages. But these averages are not stale."),
        Choice("half of the way", "halfway",
               "It would, if part of the trouble were lag. None of it is."),
        Choice("no: it stays where it was", "right_eval"),
    ),
    "right", {"batch_size": 8, "order": "sorted", "step": 100}, {"statistics": "precise"},
    "eval() was right on {before_right:.0%} before and on {right:.0%} after; with mixed classes, on "
    "{mixed:.0%}.",
    "A norm batch contains {classes:.1f} classes on average, so its mean is close to the mean of a class, "
    "and the norm subtracts what tells classes apart. The weights are trained with these statistics, and the "
    "statistics of all digits differ.",
    "The network doesn’t cheat in training: with such batches train() is right on only {own:.0%}. Where the "
    "batch gives answers away (E15: python -m bnlib experiments run E15), training on shuffled groups "
    "did not improve inference here, against Wu and Johnson’s advice.",
    "Increase the norm batch: how close does eval() come to mixed classes?",
    ("order", "statistics", "batch_size", "step"),
)  # fmt: skip

ROULETTE = Scene(
    "roulette", "Roulette",
    "A digit is asked about 20 times in train(), each time in a batch with 15 other digits. The weights "
    "don’t change. How many of 500 digits change their class at least once?",
    (
        Choice("none: image and weights are the same", 0.0,
               "The image is the same, and so are the weights. But in train() μ and σ come from the "
               "other digits too."),
        Choice("one in a hundred", 0.01,
               "Statistics of 16 samples are not far off. But there are three norms, one behind another, "
               "and 20 draws."),
        Choice("about a third", 0.33),
        Choice("nearly all", 0.95,
               "Every output changes with the other digits. But most classes win by a larger margin."),
    ),
    "changed", {"batch_size": 16, "step": 100}, {},
    "{changed:.0%} of the digits changed their class; the framed one left eval()’s class in {others:.0f} of "
    "{draws:.0f} draws.",
    "In train() the output depends on the whole batch: a mean of {m} samples scatters by σ / √{m}. In "
    "eval() mean and variance are constants; with layer norm, which uses no other samples, "
    "{layer_changed:.0%} change.",
    "Most single answers stay: only {differs:.1%} differ from eval()’s. In training the same noise can "
    "regularize.",
    "Choose 4 samples, then 64: how many digits change their class?",
    ("mode", "batch_size", "draw", "step"),
)  # fmt: skip

ALONE = Scene(
    "alone", "A batch of one",
    "A dense network, trained with batches of 64, is asked in train() about one digit at a time. How many "
    "different outputs do 500 digits get?",
    (
        Choice("500: a digit is itself its batch", 500.0,
               "The digit is its batch, so it is its own mean: nothing is left when that is subtracted. A "
               "convolution would give 500."),
        Choice("10: one for each class", 10.0,
               "There are ten classes. But the network can’t see which one it is."),
        Choice("1: the same for all", 1.0),
    ),
    "distinct", {"step": 100}, {},
    "The 500 digits got {distinct:.0f} output, and {right:.0%} were right; eval() had {right_eval:.0%}.",
    "The mean of one number is that number: x − μ = 0, so x̂ = 0 and y = β, whatever came in. PyTorch "
    "refuses: “Expected more than 1 value per channel when training”.",
    "In a convolutional network 8 × 8 positions share μ and σ, so one image is enough. The norm is then "
    "instance norm, but the weights were trained with statistics of 64 images.",
    "Choose “convolutional”: how good is a network trained with instance norm from the start?",
    ("network", "step"),
)  # fmt: skip

CLINIC = Scene(
    "clinic", "Three networks, three causes",
    "Three networks are good in train() with batches of 64 and bad in eval(). A: trained 20 steps, momentum "
    "0.999. B: trained 60 steps in norm batches of 4, momentum 0.1 (PyTorch: 0.9). C: trained 100 steps, "
    "momentum 0.9; the camera in use is another one. All get their statistics recomputed on the training "
    "images. Which one stays bad?",
    (
        Choice("A: it has trained too little", 0.0,
               "20 steps are few, but train() shows that its weights know the digits."),
        Choice("B: its norm batches were too small", 1.0,
               "Its averages are noisy: they span little more than one batch of 4. A pass has 1,297 images."),
        Choice("C: its camera is another one", 2.0),
        Choice("none: all get new statistics", 3.0,
               "New statistics help where the data in use are like those that the statistics come from."),
    ),
    "uncured", {}, {"test": "recalibrate", "cell": 12},
    "C stayed at {training_C:.0%}; A came to {training_A:.0%}, B to {training_B:.0%}.",
    "C’s camera halves the contrast and raises the brightness, and C has the training images’ statistics "
    "already. With statistics recomputed on unlabelled images in use, C is right on {use_C:.0%}.",
    "Small norm batches alone don’t spoil eval(): with momentum 0.9, B is right on {usual_B:.0%}. No remedy "
    "is best for all.",
    "Choose another test: which one tells B from A?",
    ("test",),
)  # fmt: skip

FREE = Scene(
    "free",
    "Play",
    task="Pull train() and eval() apart: by momentum, by small norm batches, by norm batches of one class. "
    "Which of these turns the alarm on?",
    start={"step": 200},
    controls=("momentum", "batch_size", "lr", "order", "eps", "step"),
)

CHAPTER = Chapter(
    name="inference",
    title="Training and inference",
    question="Why is a network that trained well wrong when it is used?",
    icon=":material/swap_horiz:",
    order=20,
    group="How it works",
    answers=(
        Asked("Why can a network be right in training and wrong at inference?", "stale"),
        Asked("How fast do running averages follow, and what does momentum set?", "lag"),
        Asked("When does it help to recompute the statistics?", "recalibrate"),
        Asked("Why does an answer depend on the other samples of its batch?", "roulette"),
        Asked("What becomes of a batch of one?", "alone"),
    ),
    thumbnail=small,
    lead=(
        "Good in `train()`, bad in `eval()`? Scene 7. Loss stuck at batch size 2? "
        "[Small batches](/small-batches?scene=mend). Output depends on its neighbours? Scene 5.\n\n"
        "Batch norm computes two functions: `train()` normalizes with mean μ and variance σ² of the batch, "
        "`eval()` with running averages of them. Four networks (seeds) with three layers of 64 ReLU units "
        "learn digits, mostly with 64 samples a step. A **norm batch** is the samples that share μ and σ."
    ),
    controls=CONTROLS,
    compute=compute,
    runs=runs,
    kept=("val_accuracy", "val_accuracy_batch", "statistics_gap"),
    jobs=jobs,
    scenes=(STALE, LAG, RECALIBRATE, ONE_CLASS, ROULETTE, ALONE, CLINIC, FREE),
    code=(
        Passage("The running averages, after Algorithm 2 of Ioffe & Szegedy (2015)", RunningStats.update),
        Passage("In eval() batch norm is an affine map that folds into the weights", inference_layers),
        Passage("Statistics computed anew (Wu & Johnson 2021)", evaluation.precise),
        Passage("In train(): statistics of so many samples at a time", network.by_batch_statistics),
        Passage("The distance that the lamp watches", inference.gap),
    ),
    pytorch=pytorch,
    script=script,
    ending=(
        "You can say why train() and eval() differ: one normalizes with the batch, the other with averages "
        "that start at 0 and 1, lag, and know only the training data. You can test which of these it is.",
        "You can’t conclude from three layers and 1,297 digits how large the effect is in your network: "
        "measure eval() on training data and recompute before you change the architecture.",
        "Go on to the place of the norm in a layer. Where the noise of train() itself is the trouble, see "
        "the chapter on small batches.",
    ),
    sources=(
        Source(
            "Ioffe & Szegedy 2015, Batch Normalization, Algorithm 2: training, then inference with averages"
        ),
        Source(
            "Wu & Johnson 2021, Rethinking “Batch” in BatchNorm: precise statistics, who shares a batch, "
            "leaks"
        ),
        Source("PyTorch, torch.nn.BatchNorm1d: momentum weighs the new value; None: cumulative average"),
    ),
    experiments=("E13", "E14", "E15", "E28"),
)

if __name__ == "__main__":
    from ui.page import show

    show(CHAPTER)
