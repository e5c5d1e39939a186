"""Experiments of *Softmax, Checked*: one notebook per question, and the suite that runs them."""
