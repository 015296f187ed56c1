"""Mend the confidence of a system that is too sure of itself. Run: python examples/calibrate_confidence.py."""

import numpy as np

from nescio.confidence.calibrators import fit_temperature
from nescio.metrics import calibration_noise_floor, expected_calibration_error

generator = np.random.default_rng(0)
log_odds = generator.normal(0.0, 1.0, 4000)
correct = generator.random(4000) < 1 / (1 + np.exp(-log_odds))
# Doubled log-odds: it says 0.88 where 0.73 would be honest. The right temperature is 2.
stated = 1 / (1 + np.exp(-2 * log_odds))

# The calibrator learns from one half; the other half tells what it is worth.
calibrator = fit_temperature(stated[:2000], correct[:2000])
before, after = stated[2000:], calibrator.apply(stated[2000:])
floor = calibration_noise_floor(after)

print(f"temperature: {1 / calibrator.slope:.2f}")
print(f"ECE before:  {expected_calibration_error(before, correct[2000:]):.3f}")
print(f"ECE after:   {expected_calibration_error(after, correct[2000:]):.3f}")
print(f"by chance:   below {floor.q95:.3f} in 95 % of perfectly calibrated sets of this size")
