"""Serve a run: decisions with calibrated confidence, and a policy of what to do with them."""
