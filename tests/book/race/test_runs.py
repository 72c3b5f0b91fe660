"""The training runs of a lab's settings, and what is used where settings exclude each other."""

import math
from dataclasses import replace

import pytest
from hypothesis import given

from bnlib import NORMS, advance, start
from bnlib.data import PLANE, TRAIN_SIZES
from book.controls import read, write
from book.race.lanes import instead, lane_names
from book.race.lanes import settings as in_words
from book.race.runs import ghost_of, lane_configs, possible
from book.race.settings import DEFAULTS, EDIT_FIELDS, LAB_CONTROLS
from tests.book.race.chosen import settings
from tests.live.drawn import RUN, addresses_of

GHOST = NORMS["ghost"].together
SMALL = {"dataset": "blobs", "depth": 2, "width": 8, "batch_size": 8, "replicas": 2}

# --- lanes ----------------------------------------------------------------------------------------------


def test_lanes_differ_where_the_reader_says_so():
    values = settings(lanes="batch,none~lr:1~depth:3,batch~eps:0.5~placement:after~width:16", lr="0.3")
    first, second, third = lane_configs(values)
    assert (first.norm, first.lr, first.depth) == ("batch", 0.3, 5)
    assert (second.norm, second.lr, second.depth, second.eps) == ("none", 1.0, 3, 1e-5)
    assert (third.norm, third.lr, third.eps, third.placement, third.width) == ("batch", 0.3, 0.5, "after", 16)


@pytest.mark.parametrize("text", ["rms", "none,batch", "none,batch,layer", "none,batch,layer,group"])
def test_one_to_four_lanes_race(text):
    values = settings(lanes=text)
    assert [config.norm for config in lane_configs(values)] == text.split(",")
    assert values == settings(lanes=[[norm, []] for norm in text.split(",")])


def test_in_an_address_the_order_of_what_differs_does_not_matter():
    one, other = settings(lanes="rms~lr:1~depth:3"), settings(lanes=[["rms", [["depth", 3], ["lr", "1"]]]])
    assert one == other and write(LAB_CONTROLS, one) == {"lanes": "rms~depth:3~lr:1.0"}


# --- settings that exclude each other -------------------------------------------------------------------


def used_by(values, name):
    return [getattr(config, name) for config in lane_configs(values)]


@pytest.mark.parametrize(
    ("network", "asked", "used", "note"),
    [
        (
            "cnn",
            "moons",
            "digits",
            "Convolutional networks need images: the data set is “handwritten digits”.",
        ),
        (
            "rnn",
            "ring",
            "digits",
            "Recurrent networks read images row by row: the data set is “handwritten digits”.",
        ),
        (
            "gan",
            "digits",
            "ring",
            "The GAN draws points like those of a ring of Gaussians: the data set is “ring of Gaussians”.",
        ),
        (
            "gan",
            "xor",
            "ring",
            "The GAN draws points like those of a ring of Gaussians: the data set is “ring of Gaussians”.",
        ),
        ("cnn", "digits", "digits", None),
        ("gan", "ring", "ring", None),
        ("mlp", "moons", "moons", None),
        ("mlp", "ring", "ring", None),
    ],
)
def test_a_network_has_the_data_that_it_needs(network, asked, used, note):
    values = settings(lanes="none,batch", network=network, dataset=asked)
    assert used_by(values, "dataset") == [used] * 2 and used_by(values, "network") == [network] * 2
    assert instead(values) == ([note] if note else [])
    assert note is None or in_words(values).endswith(note)


def test_a_lane_with_a_network_of_its_own_has_the_data_that_all_share():
    values = settings(lanes="none~network:cnn,batch~network:rnn,layer,rms~network:mlp", dataset="digits")
    assert used_by(values, "network") == ["cnn", "rnn", "mlp", "mlp"]
    assert instead(values) == []
    moved = values | {"dataset": "spirals"}
    assert used_by(moved, "network") == ["mlp"] * 4 and used_by(moved, "dataset") == ["spirals"] * 4
    assert instead(moved) == [
        "Convolutional networks need images: dense is used instead of convolutional.",
        "Recurrent networks read images row by row: dense is used instead of recurrent.",
    ]
    assert lane_names(moved)[:2] == [
        "no norm (convolutional → dense)",
        "batch norm (recurrent → dense)",
    ]
    brought = settings(lanes="none,batch~network:mlp,layer~network:rnn", dataset="moons", network="cnn")
    assert used_by(brought, "network") == ["cnn", "mlp", "rnn"], "the digits are there for all"


def test_all_lanes_draw_or_none_does():
    values = settings(lanes="none~network:mlp,batch~network:cnn,layer,rms~network:gan", network="gan")
    assert used_by(values, "network") == ["gan"] * 4 and used_by(values, "dataset") == ["ring"] * 4
    assert instead(values) == [
        "The GAN draws points like those of a ring of Gaussians: the data set is “ring of Gaussians”.",
        "Either all lanes are GANs or none is: GAN is used instead of dense.",
        "Either all lanes are GANs or none is: GAN is used instead of convolutional.",
    ]
    for network, dataset in (("mlp", "ring"), ("cnn", "digits"), ("mlp", "digits")):
        values = settings(lanes="none,batch~network:gan", network=network, dataset=dataset)
        assert used_by(values, "network") == [network, "mlp"] and used_by(values, "dataset") == [dataset] * 2
        assert instead(values) == ["Either all lanes are GANs or none is: dense is used instead of GAN."]


@pytest.mark.parametrize(("network", "used"), [("mlp", 0.5), ("cnn", 0.0), ("rnn", 0.0), ("gan", 0.0)])
def test_noise_is_for_dense_networks(network, used):
    said = "Noise can be injected into dense networks only."
    values = settings(lanes="none,batch", network=network, norm_noise=0.5)
    assert used_by(values, "norm_noise") == [used] * 2 and (said in instead(values)) == (used == 0)
    values = settings(lanes=f"none,batch~network:{network},layer~norm_noise:0.25", norm_noise=0.5)
    assert used_by(values, "norm_noise")[::2] == [0.5, 0.25]
    assert instead(settings(lanes="none,batch", network=network))[:2] == [
        note for note in instead(settings(lanes="none", network=network)) if note != said
    ]


def test_a_norm_of_weights_stands_alone():
    lanes = "none,batch,spectral,standard~weight_norm:weight"
    values = settings(lanes=lanes, weight_norm="weight")
    assert used_by(values, "weight_norm") == ["weight", "weight", "none", "none"]
    assert [config.on_weights for config in lane_configs(values)] == [
        "weight",
        "weight",
        "spectral",
        "standard",
    ]
    assert instead(values) == [
        "Spectral norm is a norm of weights itself: no other one is added.",
        "Weight standardization is a norm of weights itself: no other one is added.",
    ]
    assert lane_names(values)[3] == "weight standardization (weight norm → plain weights)"
    values = settings(lanes="batch~weight_norm:spectral,weight")
    assert used_by(values, "weight_norm") == ["spectral", "none"] and instead(values) == []


@pytest.mark.parametrize(
    ("network", "depth", "width", "wanted", "used"),
    [
        ("mlp", 3, 64, 8, 8),
        ("mlp", 3, 12, 8, 6),
        ("mlp", 3, 9, 64, 9),
        ("mlp", 3, 127, 64, 1),
        ("mlp", 3, 100, 8, 5),
        ("rnn", 3, 12, 5, 4),
        ("cnn", 3, 64, 64, 32),
        ("cnn", 3, 12, 8, 6),
        ("cnn", 3, 13, 8, 1),  # 6 and 13 channels
        ("cnn", 1, 12, 8, 6),  # 6 channels alone
        ("gan", 2, 24, 16, 12),
    ],
)
def test_groups_are_the_most_that_divide_all_layers_channels(network, depth, width, wanted, used):
    dataset = {"gan": "ring"}.get(network, "digits")
    more = {"network": network, "depth": depth, "width": width, "dataset": dataset}
    values = settings(lanes="group,batch", groups=wanted, **more)
    assert used_by(values, "groups") == [used, wanted], "who has no groups doesn't mind"
    are = "is" if used == 1 else "are"
    said = f"{wanted} groups don’t divide the channels of every layer: {used} {are} used."
    assert instead(values) == ([said] if used != wanted else [])
    own = settings(lanes=f"group~groups:{wanted},group~groups:1,layer~groups:{wanted}", **more)
    assert used_by(own, "groups") == [used, 1, wanted]
    assert instead(own) == instead(values)
    arrow = f" → {used}" if used != wanted else ""
    assert lane_names(own)[0] == f"group norm (groups {wanted}{arrow})"


@pytest.mark.parametrize(
    ("batch", "wanted", "used"), [(32, 0, 8), (64, 16, 16), (12, 0, 6), (7, 0, 7), (4, 0, 4), (30, 16, 15)]
)
def test_ghost_batch_norm_has_norm_batches_by_itself(batch, wanted, used):
    values = settings(lanes="ghost,batch,layer", batch_size=batch, norm_batch=wanted)
    assert used_by(values, "norm_batch")[0] == used and used_by(values, "norm_batch")[2] == 0
    assert (used_by(values, "norm_batch")[1] == used) == bool(wanted)
    said = f"Norm batches of {wanted or GHOST} don’t fill a batch of {batch}: {used} is used."
    assert instead(values) == ([said] if used != (wanted or GHOST) else [])
    assert [config.statistics_of for config in lane_configs(values)] == used_by(values, "norm_batch")


def test_ghost_batch_norm_has_an_order_without_more_ado():
    values = settings(lanes="ghost,batch", batch_order="pairs")
    assert used_by(values, "batch_order") == ["pairs", "shuffled"]
    (said,) = instead(values)
    assert "“two classes each” needs a norm batch" in said


@pytest.mark.parametrize("dataset", ["digits", "moons"])
@pytest.mark.parametrize(
    ("batch", "wanted", "used"),
    [
        (64, 8, 8),
        (64, 64, 64),
        (64, 9, 8),
        (64, 63, 32),
        (60, 8, 6),
        (7, 4, 1),
        (32, 0, 0),
    ],
)
def test_a_norm_batch_is_the_largest_part_of_the_batch_up_to_what_was_asked(dataset, batch, wanted, used):
    values = settings(lanes="batch,group", dataset=dataset, batch_size=batch, norm_batch=wanted)
    batch_lane, group_lane = lane_configs(values)
    assert (batch_lane.norm_batch, batch_lane.batch_size) == (used, batch)
    assert (group_lane.norm_batch, group_lane.batch_size) == (0, batch), "other norms have none"
    said = f"Norm batches of {wanted} don’t fill a batch of {batch}: {used} is used."
    assert instead(values) == ([said] if used != wanted else [])
    assert (said in in_words(values)) == (used != wanted)


@pytest.mark.parametrize("raced", ["batch", "batch,group", "batch,batch~eps:0.1"])
@pytest.mark.parametrize(("batch", "wanted"), [(128, 256), (64, 256), (4, 5), (1, 2)])
def test_a_norm_batch_that_is_more_than_the_batch_is_all_of_it(raced, batch, wanted):
    values = settings(lanes=raced, batch_size=batch, norm_batch=wanted)
    said = f"A norm batch of {wanted} is more than a batch of {batch}: the whole batch shares μ and σ."
    assert {c.norm_batch for c in lane_configs(values) if c.norm == "batch"} == {batch}
    assert instead(values) == [said] and said in in_words(values)
    assert instead(values | {"norm_batch": batch}) == []


def test_a_lane_whose_own_norm_batch_is_more_than_the_batch_says_so():
    said = instead(settings(lanes="batch,batch~norm_batch:256,batch~norm_batch:48", batch_size=64))
    assert said == [
        "A norm batch of 256 is more than a batch of 64: the whole batch shares μ and σ.",
        "Norm batches of 48 don’t fill a batch of 64: 32 is used.",
    ]


def test_the_order_in_a_norm_batch_needs_one():
    values = settings(lanes="batch,batch~norm_batch:8", batch_order="sorted")
    assert [config.batch_order for config in lane_configs(values)] == ["shuffled", "sorted"]
    (said,) = instead(values)
    assert "“one class each” needs a norm batch" in said
    assert instead(values | {"norm_batch": 8, "batch_order": "pairs"}) == []


def test_norm_batches_of_other_norms_are_said_to_be_none():
    assert instead(settings(lanes="none,batch", norm_batch=8)) == [], "those without batch norm don't mind"
    said = "The norm batch has no effect: no lane has batch norm."
    assert instead(settings(lanes="none,layer", norm_batch=8)) == [said]
    assert instead(settings(lanes="none,layer")) == []


@pytest.mark.parametrize(("dataset", "there"), [("digits", 1297), ("circles", 1024)])
def test_no_more_samples_are_used_than_there_are(dataset, there):
    assert TRAIN_SIZES[dataset] == there
    for wanted, used in [(0, 0), (100, 100), (there, there), (1297, there)]:
        values = settings(
            lanes="batch,layer", dataset=dataset, train_samples=wanted, edits="9:batch_size:640"
        )
        for config in lane_configs(values):
            assert config.train_samples == used and config.batch_size == 32
            assert config.at(9).batch_size == min(640, used or there)
        assert any(f"There are {there} training samples" in note for note in instead(values)) == (
            used != wanted
        )
    values = settings(dataset=dataset, train_samples=48, batch_size=64, norm_batch=32)
    assert {(c.batch_size, c.norm_batch) for c in lane_configs(values)} == {(48, 0), (48, 24)}
    assert instead(values) == [
        "There are only 48 training samples: batches of 48 are used.",
        "Norm batches of 32 don’t fill a batch of 48: 24 is used.",
    ]


@pytest.mark.parametrize(("wanted", "used"), [(32, 24), (40, 36), (12, 12), (7, 12), (2, 12), (640, 48)])
def test_a_batch_size_changed_in_mid_run_holds_whole_norm_batches_of_every_lane(wanted, used):
    """What came before the change stays, and lanes that share their batches go on sharing them."""
    lanes = "batch~norm_batch:4,batch~norm_batch:6,layer,batch~batch_size:64"
    values = settings(lanes=lanes, batch_size=48, train_samples=50, edits=[[20, "batch_size", wanted]])
    four, six, layer, own = lane_configs(values)
    assert (four.norm_batch, six.norm_batch, layer.norm_batch) == (4, 6, 0)
    for config in (four, six, layer):
        assert config.batch_size == 48 and config.edits == ((20, "batch_size", used),)
    assert own.edits == () and own.batch_size == 50
    said = any(
        f"From step 20 on batches of {used} are used, not of {wanted}" in note for note in instead(values)
    )
    assert said == (used != wanted)


@pytest.mark.parametrize("dataset", PLANE)
def test_data_in_the_plane_stay_where_the_square_is_drawn(dataset):
    values = settings(dataset=dataset, inputs="standardized")
    assert {config.inputs for config in lane_configs(values)} == {"raw"} and len(instead(values)) == 1
    assert {config.inputs for config in lane_configs(values | {"dataset": "digits"})} == {"standardized"}


@given(raw=addresses_of(LAB_CONTROLS))
def test_what_is_used_can_be_used(raw):
    """Asking for what was given instead gives the very same, and there is nothing to say about it."""
    values, _ = read(LAB_CONTROLS, raw)
    for used in possible(values):
        lane = used["norm"], ()
        again = values | {name: used[name] for name in (*RUN, "edits")} | {"lanes": (lane,)}
        assert possible(again) == [used]
        assert math.prod(c.batch_size % (c.norm_batch or 1) == 0 for c in lane_configs(again))
        said = [note for note in instead(again) if "no lane has batch norm" not in note]
        assert said == []


def test_a_gan_has_no_wrong_labels():
    values = settings(network="gan", label_noise=0.5)
    assert {config.label_noise for config in lane_configs(values)} == {0.0}
    assert "A GAN has no labels: label noise has no effect." in instead(values)
    assert {config.label_noise for config in lane_configs(values | {"network": "mlp"})} == {0.5}


# --- edits are branches ---------------------------------------------------------------------------------


def state(run):
    """All that a run's future depends on, as bytes."""
    return run.flat.tobytes(), run.running.mean.tobytes(), run.running.var.tobytes(), run.samples


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 0.5),
        ("batch_size", 3),
        ("eps", 0.5),
        ("gamma", 2.0),
        ("beta", -1.0),
        ("momentum", 0.1),
        ("weight_decay", 0.5),
        ("r_max", 1.0),
        ("d_max", 0.0),
        ("alpha", -1.0),
    ],
)
def test_a_race_with_an_edit_is_the_same_up_to_it_and_another_afterwards(name, value):
    assert name in EDIT_FIELDS
    norm = {"r_max": "renorm", "d_max": "renorm", "alpha": "dyt"}.get(name, "batch")
    (base,) = lane_configs(settings(**SMALL, lanes=norm))
    (edited,) = lane_configs(settings(**SMALL, lanes=norm, edits=[[12, name, value]]))
    assert edited == base.branch(12, **{name: value}) and edited.at(12) == replace(base, **{name: value})
    before, after = advance(start(base), 12), advance(start(edited), 12)
    assert state(before) == state(after)
    for key, array in before.history.items():
        assert array.tobytes() == after.history[key].tobytes(), key
    assert state(advance(before, 3)) != state(advance(after, 3))


def test_edits_stand_for_branches_of_branches():
    values = settings(**SMALL, lanes="none,batch", edits="30:eps:0.1,10:lr:0.5,30:batch_size:4,10:lr:0.7")
    assert values["edits"] == ((10, "lr", 0.7), (30, "batch_size", 4), (30, "eps", 0.1)), "the later counts"
    base = lane_configs(values | {"edits": ()})
    expected = [config.branch(10, lr=0.7).branch(30, eps=0.1, batch_size=4) for config in base]
    assert lane_configs(values) == expected
    assert write(LAB_CONTROLS, values)["edits"] == "10:lr:0.7,30:batch_size:4,30:eps:0.1"


def test_a_lane_keeps_its_own_value_against_an_edit():
    values = settings(lanes="none,batch~lr:2,rms~eps:1", edits="50:lr:0.01,60:eps:0.5")
    none, batch, rms = lane_configs(values)
    assert none.edits == ((50, "lr", 0.01), (60, "eps", 0.5))
    assert batch.edits == ((60, "eps", 0.5),) and batch.at(100).lr == 2.0
    assert rms.edits == ((50, "lr", 0.01),) and rms.at(100).eps == 1.0


# --- the ghost ------------------------------------------------------------------------------------------


def test_without_changes_there_is_no_ghost():
    assert ghost_of(DEFAULTS) is None and ghost_of(settings(lr=1, lanes="rms")) is None


def test_the_ghost_of_a_change_from_the_start_is_the_race_before_it():
    values = settings(lr=1, depth=3, edits="10:lr:2", before=[["lr", 0.5], ["replicas", 2]])
    assert ghost_of(values) == values | {"lr": 0.5, "replicas": 2}
    ghosts, now = lane_configs(ghost_of(values)), lane_configs(values)
    assert ghosts == [replace(config, lr=0.5, replicas=2) for config in now]


def test_the_ghost_of_a_branch_is_the_race_without_the_last_one():
    values = settings(edits="10:lr:2,30:eps:0.1,30:lr:1")
    assert ghost_of(values) == values | {"edits": ((10, "lr", 2.0),)}
    assert ghost_of(ghost_of(values)) == values | {"edits": ()}
    assert ghost_of(ghost_of(ghost_of(values))) is None


@pytest.mark.parametrize("changes", [{"before": "lr:0.5"}, {"edits": "10:lr:2"}])
def test_a_ghost_can_be_switched_off(changes):
    assert ghost_of(settings(**changes)) is not None
    assert ghost_of(settings(**changes, ghost="off")) is None
