"""nnU-Net in a process of its own, for tests and benchmarks: fetched by ``make peers``, and not part of casewise's environment."""
