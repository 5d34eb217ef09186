"""Applications that measure without a trained model: sizes, densities, signal. None of them finds a sign of disease."""
