"""Records measures of scikit-learn and SciPy for tests/library/metrics.dl, in float64.

    python tests/library/record_metrics.py          # needs scikit-learn, scipy, torch
"""

import json
from pathlib import Path

import numpy as np
import scipy.stats
import sklearn.metrics as m
import torch
from sklearn.calibration import calibration_curve

rng = np.random.default_rng(3)
y = rng.integers(0, 4, size=40)
scores = rng.normal(size=(40, 4)) + 1.5 * np.eye(4)[y]
predicted = scores.argmax(1)
yes = rng.integers(0, 2, size=50)
sure = np.round(1.0 / (1.0 + np.exp(-rng.normal(size=50) - 1.2 * yes)), 2)  # with ties
said = (sure > 0.6).astype(int)

averages = {}
for average in ["macro", "micro", "weighted"]:
    for name, f in [("precision", m.precision_score), ("recall", m.recall_score), ("f1", m.f1_score)]:
        averages[f"{name}_{average}"] = f(y, predicted, average=average)
    averages[f"f_beta_{average}"] = m.fbeta_score(y, predicted, beta=2.0, average=average)

fpr, tpr, thresholds = m.roc_curve(yes, sure, drop_intermediate=False)
p, r, t = m.precision_recall_curve(yes, sure)
probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)


def calibration_error(confidence, right, bins=10):
    """Equation 3 of Guo and others with bins (a, b]."""
    total = 0.0
    for i in range(bins):
        inside = (confidence > i / bins) & (confidence <= (i + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return total


frequency, confidence = calibration_curve(yes, sure, n_bins=7)
a, b = rng.normal(size=20), rng.normal(size=20)
b = np.round(b + a, 1)
recording = {
    "y": y,
    "scores": scores,
    "yes": yes,
    "sure": sure,
    "said": said,
    "averages": averages,
    "precision": m.precision_score(yes, said),
    "recall": m.recall_score(yes, said),
    "f1": m.f1_score(yes, said),
    "recall_none": m.recall_score(y, predicted, average=None),
    "accuracy": m.accuracy_score(y, predicted),
    "confusion": m.confusion_matrix(y, predicted),
    "top_2": m.top_k_accuracy_score(y, scores, k=2),
    "balanced_accuracy": m.balanced_accuracy_score(y, predicted),
    "mean_iou": m.jaccard_score(y, predicted, average="macro"),
    "matthews": m.matthews_corrcoef(y, predicted),
    "roc_auc": m.roc_auc_score(yes, sure),
    "roc_auc_classes": m.roc_auc_score(y, probabilities, multi_class="ovr"),
    "probabilities": probabilities,
    "roc_curve": [fpr, tpr, thresholds[1:]],
    "precision_recall": [p[:-1], r[:-1], t],
    "average_precision": m.average_precision_score(yes, sure),
    "reliability": [confidence, frequency],
    "calibration_error": calibration_error(sure, yes),
    "calibration_error_classes": calibration_error(probabilities.max(1), predicted == y),
    "brier": m.brier_score_loss(yes, sure),
    "perplexity": torch.nn.functional.cross_entropy(torch.tensor(scores), torch.tensor(y)).exp().item(),
    "a": a,
    "b": b,
    "r2": m.r2_score(b, a),
    "rmse": m.root_mean_squared_error(b, a),
    "mape": m.mean_absolute_percentage_error(b, a),
    "smape": np.mean(2 * abs(a - b) / (abs(a) + abs(b))),
    "pearson": scipy.stats.pearsonr(a, b).statistic,
    "spearman": scipy.stats.spearmanr(a, b).statistic,
}
out = Path(__file__).parent / "metrics.json"
out.write_text(json.dumps(recording, default=lambda v: v.tolist()) + "\n")
