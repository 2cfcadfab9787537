"""Plain regression that can be kept: linear, kernel, trees and layers as arrays, with how sure they are.

They are fitted by scikit-learn (`fit.py`, the `train` extra) and kept as safetensors. What predicts needs numpy alone.
"""
