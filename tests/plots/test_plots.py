"""Figures show what they are given, and are stored as PNG and PDF."""

import json

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from anrl.data import Domain, Transform
from anrl.metrics import Scores, eer
from anrl.models import ANRLNet
from anrl.nn import gate_statistics
from anrl.plots import (
    plot_attention,
    plot_depth,
    plot_det,
    plot_gates,
    plot_roc,
    plot_scores,
    plot_training,
    save_figure,
)

SMALL = Transform(image_size=16)


@pytest.fixture
def scores():
    draws = np.random.default_rng(0)
    label = np.repeat([0, 1], 50)
    attack = ["" if not c else ("print", "replay")[i % 2] for i, c in enumerate(label)]
    return Scores(draws.normal(label * 1.5, 1), label, attack=attack)


def texts(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_roc_and_det_draw_both_errors(scores, tmp_path):
    figure = plot_roc({"one": scores, "two": scores.flipped()}, "title")
    (axes,) = figure.axes
    x, y = axes.lines[0].get_xdata(), axes.lines[0].get_ydata()
    # At a threshold below all scores everything is rejected, above all everything accepted.
    assert (x[0], y[0], x[-1], y[-1]) == (0, 1, 1, 0)
    assert (np.diff(x) >= 0).all() and (np.diff(y) <= 0).all()
    closest = np.abs(x - y).argmin()
    assert (x[closest] + y[closest]) / 2 == pytest.approx(eer(scores)[0])
    assert texts(axes)[0].startswith("one (AUC 0.") and axes.get_title() == "title"
    many = plot_det({f"method {i}": scores for i in range(9)}, "title")
    assert len(texts(many.axes[0])) == 9 and f"EER {100 * eer(scores)[0]:.1f} %" in texts(many.axes[0])[0]
    crowd = plot_roc({f"method {i}": scores for i in range(12)}, "title")
    assert len({(line.get_color(), line.get_linestyle()) for line in crowd.axes[0].lines}) == 13
    perfect = Scores(np.array([0.0, 1.0]), np.array([0, 1]))
    for draw in (plot_roc, plot_det):
        save_figure(draw({"perfect": perfect}, "title"), tmp_path / "figure")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_histograms_count_every_sample_once(scores):
    (axes,) = plot_scores(scores, "title", {"eer": 0.7}).axes
    assert sum(patch.get_height() for patch in axes.patches) == 100
    assert sorted(texts(axes)) == ["attack print", "attack replay", "bona fide", "eer: 0.700"]


def test_training_curves_come_from_the_log(tmp_path):
    losses = {"loss": 2.0, "classification": 1.0, "depth": 0.5}
    entries = [{"step": i, "accuracy_by_domain": {"a": 0.5, "b": 1.0}} | losses for i in range(4)]
    entries += [{"epoch": 0, "validation_auc": 0.7}, {"epoch": 1, "validation_auc": 0.9}]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, entries)))
    losses, accuracy, validation = plot_training(tmp_path / "log.jsonl").axes
    assert texts(losses) == ["loss", "classification", "depth"] and texts(accuracy) == ["a", "b"]
    assert validation.lines[0].get_ydata().tolist() == [0.7, 0.9]


def test_gates_are_drawn_for_every_domain():
    torch.manual_seed(0)
    model = ANRLNet(width=0.05)
    gates = {k: gate_statistics(model, [torch.randn(2, 6, 16, 16) + k]) for k in (0, 1)}
    (axes,) = plot_gates({f"domain {k}": layers for k, layers in gates.items()}).axes
    assert texts(axes) == ["domain 0", "domain 1"] and len(axes.get_xticks()) == 10
    expected = [float(mean.mean()) for mean in gates[1].values()]
    np.testing.assert_allclose(axes.lines[1].get_ydata(), expected, rtol=1e-5)


@pytest.mark.parametrize("norm", ["adaptive", "batch"])
def test_attention_and_depth_show_both_classes(packs, norm):
    torch.manual_seed(0)
    model, domain = ANRLNet(width=0.05, norm=norm).eval(), Domain.open(packs[0])
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for draw, rows in ((plot_attention, 2), (plot_depth, 3)):
        figure = draw(model, domain, SMALL, count=2)
        assert isinstance(figure, Figure) and len(figure.axes) == rows * 4
        titles = [axes.get_title().split(",")[0] for axes in figure.axes[:4]]
        assert titles == ["bona fide", "bona fide", "attack", "attack"]
    target, predicted = figure.axes[4].images[0].get_array(), figure.axes[8].images[0].get_array()
    assert target.shape == predicted.shape == (2, 2) and target.max() > 0
    assert figure.axes[6].images[0].get_array().max() == 0  # attacks are taught to be flat
    assert not model.training and all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
