"""Figures show what they are given, and are stored as PNG and PDF."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy.stats import norm

from anrl.data import Domain, Transform
from anrl.metrics import Scores, eer
from anrl.models import ANRLNet
from anrl.nn import gate_statistics
from anrl.plots import (
    plot_attention,
    plot_depth,
    plot_det,
    plot_epc,
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


def test_curves_of_tied_scores_are_steps_through_the_points_that_exist():
    # Thresholds lie below 0, between 0 and 1, above 1: three points, and no slope between them.
    tied = Scores(np.array([0.0, 0, 1, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 1]))
    (line, _) = plot_roc({"tied": tied}, "title").axes[0].lines
    assert line.get_drawstyle() == "steps-post" and line.get_marker() == "."
    np.testing.assert_allclose(line.get_xydata(), [(0, 1), (1 / 3, 1 / 3), (1, 0)])
    (line, _) = plot_det({"tied": tied}, "title").axes[0].lines
    assert line.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(line.get_xydata()[1], norm.ppf([1 / 3, 1 / 3]))
    # The curve leaves the axes for the rates of 0, which lie at infinity.
    assert np.isfinite(line.get_xydata()).all() and line.get_xdata()[0] < norm.ppf(1e-6)


def test_curves_that_cannot_be_drawn_are_named(tmp_path):
    perfect = Scores(np.array([0.0, 1.0]), np.array([0, 1]))
    alone = Scores(np.array([0.3]), np.array([0]))
    constant = Scores(np.full(4, 0.5), np.array([0, 0, 1, 1]))
    curves = {"perfect": perfect, "alone": alone, "constant": constant}
    assert texts(plot_det(curves, "title", bands=True).axes[0]) == [
        "perfect (EER 0.0 %): no point\nwithin the axes",
        "alone: no attack samples",
        "constant (EER 50.0 %): no point\nwithin the axes",
    ]
    assert "alone: no attack samples" in texts(plot_roc(curves, "title", bands=True).axes[0])
    assert texts(plot_epc({"a": (perfect, alone), "b": (perfect, constant)}, "t").axes[0]) == [
        "a: no attack samples",
        "b",
    ]
    for name, scores in curves.items():
        save_figure(plot_scores(scores, name, {"own EER": float("nan")}), tmp_path / name)
    rounding = Scores(np.array([1.0, np.nextafter(1, 2)]), np.array([0, 1]))
    assert sum(patch.get_height() for patch in plot_scores(rounding, "title").axes[0].patches) == 2


@pytest.mark.parametrize("count", [2, 5, 40])
@pytest.mark.parametrize("name", ["a", "a long name of words " * 3, "x" * 90, "$a$ b$", "_hidden"])
def test_legends_fit(scores, count, name):
    curves = {f"{name}{i}": scores for i in range(count)}
    histogram = plot_scores(replace(scores, attack=[f"{name}{i % count}" for i in range(100)]), name)
    for figure in (plot_roc(curves, name), plot_det(curves, name), histogram):
        figure.draw_without_rendering()
        (axes,) = figure.axes
        legend, frame = axes.get_legend().get_window_extent(), figure.bbox
        assert (
            frame.x0 <= legend.x0
            and legend.x1 <= frame.x1
            and frame.y0 <= legend.y0
            and legend.y1 <= frame.y1
        )
        assert axes.get_window_extent().width > 200
        plain = "".join(texts(axes)).replace("\\$", "$").replace("\n", "").replace(" ", "")
        assert plain.count(name.replace(" ", "")) >= count


def test_bands_hold_the_curve(scores):
    (axes,) = plot_roc({"one": scores}, "title", bands=True).axes
    assert len(axes.collections) == 1 and not plot_roc({"one": scores}, "title").axes[0].collections


def test_expected_performance_is_drawn_for_every_weight(scores):
    (axes,) = plot_epc({"one": (scores, scores)}, "title").axes
    assert len(axes.lines[0].get_xdata()) == 21 and axes.lines[0].get_ydata()[10] == min(
        axes.lines[0].get_ydata()
    )


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


@pytest.mark.parametrize("value, steps", [(float("nan"), 3), (0.0, 1), (0.0, 0)])
def test_logs_of_failed_and_new_runs_are_drawn(tmp_path, value, steps):
    losses = dict.fromkeys(("loss", "classification", "depth"), value)
    entries = [{"step": i, "accuracy_by_domain": {"_a$": value}} | losses for i in range(steps)]
    entries += [{"epoch": 0, "validation_auc": value}]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, entries)))
    save_figure(plot_training(tmp_path / "log.jsonl"), tmp_path / "figure")


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
