"""What experiments measure, against the same computed the long way round."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bnlib import RunConfig, advance, start, theory
from bnlib.data import batches
from bnlib.experiments import probes
from bnlib.experiments.probes import MEASURES, Cell, arithmetic, measure
from bnlib.networks.layers import cross_entropy
from bnlib.networks.network import forward
from bnlib.networks.parameters import plan
from bnlib.training.evaluation import corrected, error, precise

TINY = RunConfig(
    depth=2, width=8, batch_size=16, replicas=2, activation="tanh", dtype="float64", record_every=5,
    validate_every=5,
)  # fmt: skip


def test_a_cell_is_a_value_that_says_all():
    cell = Cell("learning", TINY, 5, (("precise", True),))
    assert cell == Cell("learning", replace(TINY), 5, (("precise", True),)) and hash(cell)
    assert eval(repr(cell), {"Cell": Cell, "RunConfig": RunConfig}) == cell
    for name, array in measure(cell).items():
        assert len(array) in (1, 2), name  # replica axis first


def test_measures_are_reproducible():
    cells = [
        Cell("gaussian_batches", TINY, 500),
        Cell("landscape", TINY, 10, (("every", 5),)),
        Cell("covariate_shift", TINY, 10, (("every", 5),)),
        Cell("learning", replace(TINY, norm_noise=1.0), 7),
    ]
    for cell in cells:
        first, again = measure(cell), measure(cell)
        assert first.keys() == again.keys()
        for name in first:
            np.testing.assert_array_equal(first[name], again[name])


def loss_of(config, flat, x, labels):
    return cross_entropy(
        forward(config, plan(config).views(flat), x, norm_batch=config.norm_batch)[0], labels
    )[0]


def numeric_gradient(config, flat, x, labels, h=1e-5):
    gradient = np.empty_like(flat)
    for i in range(flat.shape[1]):
        step = np.zeros_like(flat)
        step[:, i] = h
        difference = loss_of(config, flat + step, x, labels) - loss_of(config, flat - step, x, labels)
        gradient[:, i] = difference / (2 * h)
    return gradient


def next_batch(run):
    config = run.config
    return next(batches(config.data(), (0, 1), run.samples, config.batch_size, 1))


# --- one batch ----------------------------------------------------------------------------------------------


def test_gaussian_batches_are_what_they_say():
    found = MEASURES["gaussian_batches"](replace(TINY, batch_size=5, eps=0.0), 30_000)
    for replica in range(2):
        rng = np.random.default_rng((replica, 5))
        x = np.concatenate([rng.standard_normal((5, 20_000)), rng.standard_normal((5, 10_000))], axis=1)
        s, xhat = x.std(axis=0), (x - x.mean(axis=0)) / x.std(axis=0)
        assert found["s"][replica] == pytest.approx(s.mean())
        assert found["inverse_s"][replica] == pytest.approx((1 / s).mean())
        assert found["inverse_s2"][replica] == pytest.approx((1 / s**2).mean())
        assert found["inverse_s_se"][replica] == pytest.approx((1 / s).std() / math.sqrt(30_000))
        assert found["mean2"][replica] == pytest.approx((x.mean(axis=0) ** 2).mean())
        assert found["kurtosis"][replica] == pytest.approx((xhat**4).mean())
        assert found["largest"][replica] == pytest.approx(np.abs(xhat).max())
        ordered = np.sort(xhat[0])
        above = np.arange(1, 30_001) / 30_000 - theory.xhat_cdf(ordered, 5)
        assert found["distance"][replica] == pytest.approx(max(above.max(), (1 / 30_000 - above).max()))
        assert found["density"][replica].sum() * 0.1 == pytest.approx(1)


def test_the_jacobian_is_judged_by_theory(monkeypatch):
    config = replace(TINY, batch_size=6, eps=0.0)
    right = MEASURES["jacobian"](config, 30)
    assert max(right[name].max() for name in ("spectrum", "projector", "santurkar", "pair")) < 1e-12
    np.testing.assert_allclose(right["gradient"], 4 / 6)
    np.testing.assert_allclose(np.sort(right["eigenvalues"][0]), [0, 0, 1, 1, 1, 1], atol=1e-12)
    true = arithmetic.norm_backward
    monkeypatch.setattr(
        arithmetic, "norm_backward", lambda dy, cache: (true(dy, cache)[0] + 0.01 * dy, None, None)
    )
    wrong = MEASURES["jacobian"](config, 30)
    assert min(wrong[name].min() for name in ("spectrum", "projector", "santurkar", "pair")) > 1e-4


# What a norm makes of data x (N, I) and weights w (O, I), written down once more.
FORMULAS = {
    "batch": lambda x, w: ((s := x @ w.T) - s.mean(0)) / s.std(0),
    "layer": lambda x, w: (((s := x @ w.T).T - s.mean(1)) / s.std(1)).T,
    "rms": lambda x, w: (x @ w.T) / np.sqrt(((x @ w.T) ** 2).mean(1))[:, None],
    "weight": lambda x, w: x @ (w / np.linalg.norm(w, axis=1)[:, None]).T,
}


@pytest.mark.parametrize("norm", FORMULAS)
def test_invariances_are_changes_of_the_output(norm):
    found = MEASURES["invariances"](replace(TINY, norm=norm, width=5, batch_size=7), 0)
    for replica in range(2):
        rng = np.random.default_rng((replica, 5))
        x, w = rng.standard_normal((7, 64)), rng.standard_normal((5, 64))
        a, c = rng.uniform(2, 5), rng.standard_normal(64)
        before = FORMULAS[norm](x, w)
        first, sample = w.copy(), x.copy()
        first[0] *= a
        sample[0] *= a
        after = {
            "weights_scaled": (x, a * w), "weights_shifted": (x, w + c), "unit_scaled": (x, first),
            "data_scaled": (a * x, w), "data_shifted": (x + c, w), "sample_scaled": (sample, w),
        }  # fmt: skip
        assert found.keys() == after.keys()
        for name, changed in after.items():
            change = np.abs(FORMULAS[norm](*changed) - before).max() / np.abs(before).max()
            assert found[name][replica] == pytest.approx(change, abs=1e-13), name


def test_power_iteration_is_that_of_the_singular_values(monkeypatch):
    """With c = left' u at the start, after k iterations sigma^2 = sum c^2 s^4k / sum c^2 s^(4k-2)."""
    values, config = np.array([3.0, 2.4, 1.0]), replace(TINY, width=20)
    for steps in (6, 80):
        found = MEASURES["power_iteration"](config, steps, values=tuple(values))
        for replica in range(2):
            left = np.linalg.qr(np.random.default_rng((replica, 7)).standard_normal((20, 3)))[0]
            c = left.T @ np.random.default_rng(replica).standard_normal(20)
            c2 = c**2
            k, s = np.arange(1, steps + 1)[:, None], values / 3
            error = 1 - np.sqrt((c2 * s ** (4 * k)).sum(1) / (c2 * s ** (4 * k - 2)).sum(1))
            last = np.flatnonzero(error > 1e-9)[-1]
            assert steps == 6 or 10 < last < 40
            assert found["ratio"][replica] == pytest.approx(error[last] / error[last - 1], rel=1e-5)
            assert found["excess"][replica] == pytest.approx(-error.min(), abs=1e-14)
            u = c * s ** (2 * k)  # its components, of which those behind the first are the error
            sine = np.linalg.norm(u[:, 1:], axis=1) / np.linalg.norm(u, axis=1)
            last = np.flatnonzero(sine > 1e-6)[-1]
            assert steps == 6 or 20 < last < 60
            assert found["vector"][replica] == pytest.approx(sine[last] / sine[last - 1], rel=1e-6)
    true = arithmetic.spectral_norm
    monkeypatch.setattr(
        arithmetic,
        "spectral_norm",
        lambda *a, **b: (lambda w, sigma, u: (w, 1.01 * sigma, u))(*true(*a, **b)),
    )
    wrong = MEASURES["power_iteration"](config, 80, values=tuple(values))
    np.testing.assert_allclose(wrong["excess"], 0.01, rtol=1e-6)


# --- before training ----------------------------------------------------------------------------------------


def test_gradient_growth_is_the_slope_of_squared_norms():
    config = replace(TINY, depth=6, norm="none", activation="linear", eps=0.0)
    found = MEASURES["gradient_growth"](config, 0, first=2, last=5)
    weights = [start(config).parameters[f"weight{layer}"] for layer in range(7)]
    for replica in range(2):
        rng = np.random.default_rng((replica, 3))
        rng.standard_normal((16, 64))
        gradient = rng.standard_normal((16, 10)) @ weights[6][replica].T
        energy = [np.square(gradient).sum()]
        for layer in range(5, 0, -1):
            gradient = gradient @ weights[layer][replica].T
            energy.insert(0, np.square(gradient).sum())
        np.testing.assert_allclose(found["energy"][replica], energy)
        slope = np.polyfit([2, 3, 4, 5], np.log(energy[1:5]), 1)[0]
        assert found["growth"][replica] == pytest.approx(math.exp(-slope))


def test_isotropic_gradients_are_those_behind_the_first_layer():
    """Batch norm by hand, from samples at right angles, with a gradient of what the last layer puts out."""
    config = replace(TINY, depth=5, width=20, activation="relu", eps=0.1)
    found = MEASURES["gradient_growth"](config, 0, first=1, last=4, source="isotropic")
    assert found["energy"].shape == (2, 4)
    for replica in range(2):
        rng = np.random.default_rng((replica, 9))
        basis = np.linalg.qr(rng.standard_normal((20, 16)))[0]
        x, gradient, seen = math.sqrt(20) * basis.T, rng.standard_normal((16, 20)), []
        np.testing.assert_allclose(x @ x.T, 20 * np.eye(16), atol=1e-12)
        for layer in range(1, 5):
            weight = start(config).parameters[f"weight{layer}"][replica]
            s = x @ weight
            std = np.sqrt(s.var(0) + 0.1)
            xhat = (s - s.mean(0)) / std
            seen.append((weight, xhat, std))
            x = np.maximum(xhat, 0)
        energy = []
        for weight, xhat, std in seen[::-1]:
            dz = gradient * (xhat > 0)
            energy.insert(0, np.square(dz).sum())
            gradient = (dz - dz.mean(0) - xhat * (dz * xhat).mean(0)) / std @ weight.T
        np.testing.assert_allclose(found["energy"][replica], energy)


def test_the_gradient_of_the_loss_is_that_of_the_first_step():
    found = MEASURES["gradient_growth"](TINY, 0, first=1, last=2, source="loss")
    recorded = advance(start(TINY), 1).history["gradient_norm"][:, 0]
    np.testing.assert_allclose(found["energy"], recorded**2)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_the_residual_stream_is_that_of_the_network(norm):
    config = replace(TINY, depth=4, norm=norm, residual="pre", activation="relu", eps=0.0)
    found = MEASURES["residual_stream"](config, 0)["stream"]
    parameters = start(config).parameters
    for replica in range(2):
        x = np.random.default_rng((replica, 3)).standard_normal((16, 64)) / math.sqrt(2)
        h = x @ parameters["weight0"][replica]
        for block in range(4):
            assert found[replica, block] == pytest.approx(np.square(h).mean())
            if block < 3:
                inside = (h - h.mean(0)) / h.std(0) if norm == "batch" else h
                h = h + np.maximum(inside, 0) @ parameters[f"weight{block + 1}"][replica]


# --- runs ---------------------------------------------------------------------------------------------------


def test_learning_reports_the_end_of_the_run():
    found = MEASURES["learning"](replace(TINY, norm_batch=4), 30, precise=True)
    run = advance(start(replace(TINY, norm_batch=4)), 30)
    last = advance(run, 1).history  # the next frame is of these very parameters
    np.testing.assert_allclose(found["final"], 100 * (1 - last["val_accuracy"][:, -1]))
    np.testing.assert_allclose(found["final_batch"], 100 * (1 - last["val_accuracy_batch"][:, -1]))
    np.testing.assert_array_equal(found["train_loss"], run.history["train_loss"])
    np.testing.assert_allclose(found["final_loss"], run.history["train_loss"][:, -4:].mean(axis=1))
    np.testing.assert_allclose(found["final_precise"], error(precise(run)))
    x, y = TINY.data().x_train[:1296], TINY.data().y_train[:1296]
    logits, _, _ = forward(run.config, run.parameters, x, norm_batch=4)
    np.testing.assert_allclose(found["final_train_batch"], 100 * (logits.argmax(2) != y).mean(axis=1))


def test_a_run_that_diverges_has_no_error():
    config = replace(TINY, norm="none", activation="relu", lr=500.0)
    found = measure(Cell("learning", config, 30))
    assert (found["diverged_at"] >= 0).all() and np.isnan(found["final"]).all()


def test_precise_statistics_are_those_of_the_population():
    """One batch of everything: exactly its own; many batches: the variance of their means counts."""
    run = advance(start(TINY), 10)
    parameters, data = run.parameters, TINY.data()
    whole = precise(replace(run, config=replace(TINY, batch_size=1297)))
    z = data.x_train @ parameters["weight0"]
    np.testing.assert_allclose(whole.running.mean[:, :8], z.mean(axis=1))
    np.testing.assert_allclose(whole.running.var[:, :8], z.var(axis=1))
    batchwise = precise(run).running
    np.testing.assert_allclose(batchwise.mean[:, :8], z[:, :1296].mean(axis=1))
    np.testing.assert_allclose(batchwise.var[:, :8], z[:, :1296].var(axis=1))
    # Below the first norm batches differ in what they see.
    groups = z[:, :1296].reshape(2, 16, 81, 8)
    normed = (groups - groups.mean(1, keepdims=True)) / np.sqrt(groups.var(1, keepdims=True) + TINY.eps)
    affine = normed.reshape(2, 1296, 8) * parameters["gamma0"] + parameters["beta0"]
    z = (np.tanh(affine) @ parameters["weight1"]).reshape(2, 16, 81, 8)
    means, variances = z.mean(axis=1), z.var(axis=1)
    np.testing.assert_allclose(batchwise.mean[:, 8:], means.mean(axis=1))
    np.testing.assert_allclose(batchwise.var[:, 8:], (variances + means**2).mean(1) - means.mean(1) ** 2)
    layer = advance(start(replace(TINY, norm="layer")), 3)
    assert precise(layer) is layer


def test_precision_looks_at_the_run_on_the_way():
    found = MEASURES["precision"](TINY, 20, every=5)
    assert found["step"].tolist() == [[5, 10, 15, 20]]
    run = advance(start(TINY), 15)
    np.testing.assert_array_equal(found["running"][:, 2], error(run))
    np.testing.assert_array_equal(found["precise"][:, 2], error(run, statistics="precise"))
    np.testing.assert_array_equal(found["corrected"][:, 2], error(corrected(run)))


def test_a_watch_ends_where_it_was_told():
    assert MEASURES["precision"](TINY, 8, every=5)["step"].tolist() == [[5, 8]]


def test_corrected_statistics_are_averages_of_the_batches_alone():
    """The second of two batches has weight 1, the first alpha, over 1 + alpha; the start has none."""
    config = replace(TINY, momentum=0.75, lr=0.0)
    means, variances = [], []
    for steps in (0, 1):
        x, _ = next_batch(advance(start(config), steps))
        z = x @ start(config).parameters["weight0"]
        means.append(z.mean(axis=1))
        variances.append(z.var(axis=1, ddof=1))
    found = corrected(advance(start(config), 2)).running
    np.testing.assert_allclose(found.mean[:, :8], (0.75 * means[0] + means[1]) / 1.75)
    np.testing.assert_allclose(found.var[:, :8], (0.75 * variances[0] + variances[1]) / 1.75)
    fresh, layer = start(config), advance(start(replace(config, norm="layer")), 2)
    assert corrected(fresh) is fresh and corrected(layer) is layer


def test_input_drift_follows_percentiles():
    found = MEASURES["input_drift"](TINY, 20, every=10)
    quantiles = []
    for steps in (0, 10, 20):
        run = advance(start(TINY), steps)
        _, trace, _ = forward(TINY, run.parameters, TINY.data().x_train)
        quantiles.append(np.percentile(trace[1].z, (15, 50, 85), axis=1))
    quantiles = np.array(quantiles)  # (n, 3, R, units)
    wandering = np.ptp(quantiles[:, 1], axis=0)  # (R, units)
    for replica in range(2):
        unit = np.flatnonzero(wandering[replica] == np.sort(wandering[replica])[4])[0]
        np.testing.assert_allclose(found["quantiles"][replica], quantiles[:, :, replica, unit])
    width = quantiles[:, 2] - quantiles[:, 0]
    np.testing.assert_allclose(found["width"], np.median(width.max(0) / width.min(0), axis=1))
    np.testing.assert_allclose(found["drift"], np.ptp(quantiles[:, 1], axis=0).mean(axis=1))


def test_the_landscape_is_that_of_the_loss():
    config = replace(TINY, width=4, depth=1, lr=0.3)
    found = MEASURES["landscape"](config, 6, every=3, points=4)
    assert found["step"].tolist() == [[0, 3, 6]]
    for column, steps in enumerate((0, 3, 6)):
        run = advance(start(config), steps)
        x, labels = next_batch(run)
        gradient = numeric_gradient(config, run.flat, x, labels)
        losses, changes, slopes = [], [], []
        for factor in np.linspace(0.5, 4, 4):
            there = run.flat - factor * 0.3 * gradient
            losses.append(loss_of(config, there, x, labels))
            change = np.linalg.norm(numeric_gradient(config, there, x, labels) - gradient, axis=1)
            changes.append(change)
            slopes.append(change / (factor * 0.3 * np.linalg.norm(gradient, axis=1)))
        np.testing.assert_allclose(found["loss_range"][:, column], np.ptp(losses, axis=0), rtol=1e-6)
        np.testing.assert_allclose(found["gradient_change"][:, column], np.max(changes, axis=0), rtol=1e-6)
        np.testing.assert_allclose(found["smoothness"][:, column], np.max(slopes, axis=0), rtol=1e-6)


def test_covariate_shift_moves_what_lies_before():
    config = replace(TINY, width=4, depth=2, lr=0.3)
    found = MEASURES["covariate_shift"](config, 3, every=3)
    run = advance(start(config), 3)
    x, labels = next_batch(run)
    gradient = numeric_gradient(config, run.flat, x, labels)
    distances, cosines = [], []
    for layer in (1, 2):
        moved = run.flat.copy()
        for name, (begin, stop, _) in plan(config).slots.items():
            if int(name[-1]) < layer:
                moved[:, begin:stop] -= 0.3 * gradient[:, begin:stop]
        here = slice(*plan(config).slots[f"weight{layer}"][:2])
        g, g2 = gradient[:, here], numeric_gradient(config, moved, x, labels)[:, here]
        distances.append(np.linalg.norm(g - g2, axis=1))
        cosines.append((g * g2).sum(1) / np.linalg.norm(g, axis=1) / np.linalg.norm(g2, axis=1))
    np.testing.assert_allclose(found["distance"][:, 1], np.mean(distances, axis=0), rtol=1e-5)
    np.testing.assert_allclose(found["cosine"][:, 1], np.mean(cosines, axis=0), rtol=1e-5)


def test_rescaling_is_exact_only_without_eps_and_with_the_rate():
    config = replace(TINY, eps=0.0, rest_lr=0.1)
    assert MEASURES["rescaled"](config, 30, factor=10.0)["loss_difference"].max() < 1e-12
    assert MEASURES["rescaled"](config, 30, factor=10.0)["recursion"].max() < 1e-12
    assert MEASURES["rescaled"](config, 30, factor=10.0, follow=False)["loss_difference"].min() > 1e-3
    assert MEASURES["rescaled"](replace(config, eps=0.1), 30, factor=10.0)["loss_difference"].min() > 1e-3
    assert MEASURES["rescaled"](replace(config, norm="none"), 30, factor=1.0)["recursion"].min() > 1e-3


def test_the_equilibrium_is_measured_in_the_last_quarter():
    config = replace(TINY, eps=0.0, rest_lr=0.05, lr=0.5, weight_decay=0.02, learn_affine=False)
    found = MEASURES["equilibrium"](config, 200)
    weights, run = [], advance(start(config), 150)
    for _ in range(51):
        weights.append([run.parameters[f"weight{layer}"].reshape(2, -1) for layer in (0, 1)])
        run = advance(run, 1)
    angle, ratio = [], []
    for layer in (0, 1):
        w = np.array([row[layer] for row in weights])  # (51, R, size)
        norm = np.linalg.norm(w, axis=2)
        cosine = (w[1:] * w[:-1]).sum(axis=2) / norm[1:] / norm[:-1]
        angle.append(np.sqrt((np.arccos(cosine) ** 2).mean(axis=0)) / math.sqrt(2 * 0.5 * 0.02))
        # From the step itself: W+ = (1 - lr decay) W - lr gradient.
        gradient = np.linalg.norm(((1 - 0.5 * 0.02) * w[:-1] - w[1:]) / 0.5, axis=2)
        expected = 0.5 * ((gradient * norm[:-1]) ** 2).mean(axis=0) / (2 * 0.02)
        ratio.append((norm[:-1] ** 4).mean(axis=0) / expected)
    np.testing.assert_allclose(found["angle"], np.mean(angle, axis=0), rtol=1e-6)
    assert found["step"][0].tolist() == list(range(0, 200, 3))
    np.testing.assert_allclose(found["weight_norm"][:, 50], np.linalg.norm(weights[0][0], axis=1))
    w, after = weights[0][0], weights[1][0]
    cosine = (w * after).sum(axis=1) / np.linalg.norm(w, axis=1) / np.linalg.norm(after, axis=1)
    np.testing.assert_allclose(found["turning"][:, 50], np.arccos(cosine) / math.sqrt(2 * 0.5 * 0.02))
    larger = MEASURES["equilibrium"](config, 40, scale=3.0)
    np.testing.assert_allclose(larger["weight_norm"][:, 0], 3 * found["weight_norm"][:, 0])
    # All else is as it was: the same loss, a third of the gradient, on weights three times as large.
    tangent, less = (np.tan(f["turning"][:, 0] * math.sqrt(2 * 0.5 * 0.02)) for f in (found, larger))
    np.testing.assert_allclose(less, tangent / 9)
    np.testing.assert_allclose(found["norm4"], np.mean(ratio, axis=0), rtol=1e-6)


def test_leakage_is_an_area_under_a_curve():
    config = replace(TINY, dataset="groups", norm_batch=8, batch_order="grouped")
    found = MEASURES["leakage"](config, 20)
    run, data = advance(start(config), 20), config.data()
    for replica in range(2):
        parameters = {name: array[replica : replica + 1] for name, array in run.parameters.items()}
        scores = []
        for group in data.x_val.reshape(-1, 8, 16):  # one group after another
            logits, _, _ = forward(replace(config, replicas=1), parameters, group)
            scores += (logits[0, :, 1] - logits[0, :, 0]).tolist()
        assert found["grouped"][replica] == pytest.approx(roc_auc_score(data.y_val, scores))
    assert (found["shuffled"] != found["grouped"]).all()
    layer = MEASURES["leakage"](replace(config, norm="layer"), 20)
    np.testing.assert_allclose(layer["grouped"], layer["running"])
    np.testing.assert_allclose(layer["shuffled"], layer["running"])


def test_cost_counts_parameters():
    found = MEASURES["cost"](RunConfig(depth=3, width=8, batch_size=4), 2)
    assert found["parameters"] == [1.0]  # gamma and beta instead of a bias
    assert found["statistics"] == [2.0]
    assert found["training"] > 0 and found["inference"] > 0


@pytest.mark.parametrize("name", MEASURES)
def test_measures_say_what_they_measure(name):
    assert MEASURES[name].__doc__ and "(R" in MEASURES[name].__doc__ + probes.__doc__
